"""How sums are asked for, and what is asked that is no sum of this model. Those named `HELD_OUT` are for evaluation alone."""

from sums import Language, Operation

Phrases = dict[Language, dict[Operation, tuple[str, ...]]]

#: What stands for the two operands and the operation.
PHRASES: Phrases = {
    "en": {
        "+": (
            "{a}+{b}", "{a} + {b}", "{a}+{b}", "{a} + {b}", "{a} plus {b}", "{a} plus {b}", "{a} and {b} added",
            "the sum of {a} and {b}", "{a} added to {b}", "the total of {a} and {b}", "adding {a} and {b}",
        ),
        "-": (
            "{a}-{b}", "{a} - {b}", "{a}-{b}", "{a} - {b}", "{a} minus {b}", "{a} minus {b}", "{a} − {b}", "{a} less {b}",
            "{a} take away {b}", "subtracting {b} from {a}", "{b} subtracted from {a}",
        ),
        "*": (
            "{a}*{b}", "{a} * {b}", "{a} x {b}", "{a} × {b}", "{a}×{b}", "{a}x{b}", "{a} times {b}", "{a} times {b}",
            "{a} multiplied by {b}", "the product of {a} and {b}", "multiplying {a} by {b}",
        ),
    },
    "zh": {
        "+": ("{a}+{b}", "{a} + {b}", "{a}加{b}", "{a}加上{b}", "{a} 加 {b}", "{a}＋{b}", "{a}与{b}的和", "{a}和{b}相加", "{a}跟{b}加起来"),
        "-": ("{a}-{b}", "{a} - {b}", "{a}减{b}", "{a}减去{b}", "{a} 减 {b}", "{a}－{b}", "{a}与{b}的差", "从{a}里减去{b}", "{a}减掉{b}"),
        "*": ("{a}*{b}", "{a} × {b}", "{a}×{b}", "{a}乘{b}", "{a}乘以{b}", "{a} 乘以 {b}", "{a}与{b}的积", "{a}和{b}相乘", "{a}x{b}"),
    },
}  # fmt: skip

#: Sentences in which a phrase stands.
FRAMES: dict[Language, tuple[str, ...]] = {
    "en": (
        "What is {x}?", "what is {x}", "What's {x}?", "whats {x}", "{x}", "{x}?", "{x}=", "{x} =", "{x} = ?", "{x}=?",
        "Compute {x}", "compute {x}.", "Calculate {x}", "calculate {x} for me", "Calculate: {x}", "Work out {x}.",
        "How much is {x}?", "how much does {x} make?", "Solve {x}", "Solve: {x}", "Evaluate {x}.", "Find {x}.",
        "{x} please", "{x} is what?", "Give me {x}", "Give me the result of {x}.", "Tell me {x}", "Tell me what {x} is.",
        "Can you compute {x}?", "Could you work out {x}?", "Do you know {x}?", "I need {x}", "The answer to {x}?",
        "{x} equals what?", "What does {x} equal?", "What is the result of {x}?", "What is the answer of {x}?",
        "Can you tell me what {x} is?", "Do this sum: {x}", "Please do {x}", "Q: {x} A:", "Result of {x}", "What do you get from {x}?",
        "I want {x}", "I would like the result of {x}", "My sum is {x}", "The exercise says {x}", "Help me with {x}", "What would {x} be?", "Do you get {x}?", "Let's do {x}", "Try {x}.", "Now {x}", "Then what is {x}", "Quick: {x}",
        "The teacher asks {x}", "Let me know {x}", "How about {x}?", "{x}, how much?", "{x} makes?", "{x} comes to what?", "I wonder what {x} is", "Answer this: {x}", "Say {x}", "Number of {x}",
    ),
    "zh": (
        "{x}等于多少？", "{x}等于多少", "{x}是多少？", "{x}是多少", "{x}=", "{x}=？", "{x}=?", "{x}", "{x}？", "计算{x}", "计算：{x}",
        "计算一下{x}", "请计算{x}", "请计算 {x}。", "帮我算{x}", "帮我算一下{x}", "算一下{x}", "算算{x}", "{x}得多少？", "{x}等于几？",
        "{x}的结果是多少？", "{x}的结果是什么", "{x}的答案是什么？", "请告诉我{x}等于多少", "告诉我{x}是多少", "你能算{x}吗？", "求{x}",
        "{x}，答案是？", "我想知道{x}等于多少", "结果是多少：{x}",
        "{x}是几", "{x}应该得多少", "{x}会是多少呢", "{x}怎么算", "{x}怎么算呢？", "练习题：{x}", "今天的题是{x}", "妈妈问{x}是多少", "我要算{x}", "试试{x}", "来算{x}吧", "那{x}呢？", "{x}呢", "写出{x}的答案", "{x}一共多少", "考考你：{x}", "书上有{x}", "给我{x}的结果", "现在算{x}", "算出{x}来", "得出{x}", "问题：{x}",
    ),
}  # fmt: skip

#: Whole sentences that give an order.
ORDERS: Phrases = {
    "en": {
        "+": ("Add {a} and {b}", "add {b} to {a}", "Add {a} to {b}.", "Sum {a} and {b}", "Increase {a} by {b}.", "Can you add {a} and {b}?", "Add up {a} and {b}"),
        "-": ("Subtract {b} from {a}", "subtract {b} from {a}.", "Take {b} away from {a}.", "Take {b} from {a}", "Decrease {a} by {b}.", "Can you subtract {b} from {a}?"),
        "*": ("Multiply {a} by {b}", "multiply {a} and {b}.", "Multiply {a} with {b}", "Can you multiply {a} by {b}?", "How much is {a} multiplied by {b}"),
    },
    "zh": {
        "+": ("把{a}和{b}加起来", "{a}再加{b}等于多少", "{a}增加{b}是多少？", "把{a}加上{b}"),
        "-": ("用{a}减去{b}", "从{a}中减去{b}", "{a}减少{b}是多少？", "把{a}减去{b}"),
        "*": ("把{a}和{b}乘起来", "{a}的{b}倍是多少？", "{b}个{a}是多少？", "用{a}乘以{b}"),
    },
}  # fmt: skip

#: Never seen in training, neither as a sentence nor in combination.
HELD_OUT: Phrases = {
    "en": {
        "+": ("Quick question: what does {a} + {b} come to?", "I'd like to know {a} plus {b}.", "My homework says {a}+{b}, help!", "If I add {a} and {b}, what do I get?", "Value of {a} + {b}", "Hi there! How about {a} plus {b}?"),
        "-": ("Quick question: what does {a} - {b} come to?", "I'd like to know {a} minus {b}.", "My homework says {a}-{b}, help!", "If I subtract {b} from {a}, what do I get?", "Value of {a} - {b}", "Hi there! How about {a} minus {b}?"),
        "*": ("Quick question: what does {a} * {b} come to?", "I'd like to know {a} times {b}.", "My homework says {a} x {b}, help!", "If I multiply {a} by {b}, what do I get?", "Value of {a} × {b}", "Hi there! How about {a} times {b}?"),
    },
    "zh": {
        "+": ("麻烦算出{a}加{b}", "求{a}+{b}的值", "{a}加上{b}应该是多少呢？", "作业里有{a}+{b}，怎么算？", "老师问{a}加{b}等于多少"),
        "-": ("麻烦算出{a}减{b}", "求{a}-{b}的值", "{a}减去{b}应该是多少呢？", "作业里有{a}-{b}，怎么算？", "老师问{a}减{b}等于多少"),
        "*": ("麻烦算出{a}乘{b}", "求{a}×{b}的值", "{a}乘以{b}应该是多少呢？", "作业里有{a}×{b}，怎么算？", "老师问{a}乘{b}等于多少"),
    },
}  # fmt: skip

BEFORE: dict[Language, tuple[str, ...]] = {
    "en": ("Hi, ", "Hello! ", "Hey, ", "hey abacus, ", "Please ", "please ", "OK, ", "Thanks! Now ", "And now: ", "Next: ", "So, ", "Good morning. ", "I have a question. ", "Think step by step. ", "One more: ", "Dear abacus,\n"),
    "zh": ("你好，", "您好！", "请问", "请问，", "那么", "好的，", "谢谢！", "下一题：", "早上好，", "请一步一步算：", "我有个问题：", "再来一个：", "请", "老师好，"),
}  # fmt: skip
AFTER: dict[Language, tuple[str, ...]] = {
    "en": (" Thanks!", " please", " Please.", " Thank you.", " Show your work.", " Answer with the number only.", " Explain.", " Quickly!", "\n", "!", " ...", " Step by step.", " Be careful."),
    "zh": ("谢谢", "谢谢！", "请写出过程。", "只要答案。", "快点", "！", "\n", "请一步步来", "麻烦了", "。"),
}  # fmt: skip

#: Sums that are beyond the model; letters are numbers, `big` one of more digits than it can do.
BEYOND: dict[Language, tuple[str, ...]] = {
    "en": ("{a}/{b}", "{a} / {b}", "{a} divided by {b}", "{a} ÷ {b}", "{a}+{b}+{c}", "{a} + {b} - {c}", "{a} * {b} + {c}", "{big}+{a}", "{a} - {big}", "{big} plus {big2}", "{m} * {n}", "{m} times {n}", "{m} x {n}", "{d} * {big}", "{a}^{d}", "{a} to the power of {d}", "the square root of {a}", "{a}.{d} + {b}", "{a} + {b}.{d}", "-{a} + {b}", "-{a} * {d}", "{d}% of {a}", "{a} mod {b}", "({a}+{b})*{d}", "{a} plus {b} times {c}", "log {a}", "{d}!", "half of {a}", "{a} - -{b}", "{a}.{d} * {d}"),
    "zh": ("{a}/{b}", "{a}除以{b}", "{a}÷{b}", "{a}+{b}+{c}", "{a}加{b}减{c}", "{a}乘{d}加{b}", "{big}+{a}", "{a}减{big}", "{big}加{big2}", "{m}*{n}", "{m}乘以{n}", "{m}×{n}", "{d}乘{big}", "{a}的{d}次方", "{a}的平方根", "{a}.{d}+{b}", "{a}加{b}.{d}", "-{a}加{b}", "-{a}×{d}", "{a}的百分之{d}", "({a}+{b})×{d}", "{a}的一半"),
}  # fmt: skip

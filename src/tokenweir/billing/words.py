"""The words of a printed invoice, in each language it can be printed in."""

from datetime import date
from typing import Any

_CLASSES_EN = {
    "input": "Input",
    "cache_read": "Input, read from cache",
    "cache_write_5m": "Input, written to cache (5 min)",
    "cache_write_1h": "Input, written to cache (1 h)",
    "output": "Output",
    "reasoning": "Output, reasoning",
    "": "All tokens",
}
_CLASSES_ZH = {
    "input": "输入",
    "cache_read": "输入（缓存命中）",
    "cache_write_5m": "输入（写入缓存，5 分钟）",
    "cache_write_1h": "输入（写入缓存，1 小时）",
    "output": "输出",
    "reasoning": "输出（思考）",
    "": "全部 token",
}

#: Texts, and tables of texts, by language.
WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "invoice": "Invoice",
        "preview": "Preview: not issued, and it may still grow.",
        "number": "Invoice",
        "issued": "Issued",
        "time_zone": "Time zone",
        "accounts": "Accounts",
        "due": "Amount due",
        "usage": "Usage",
        "corrections": "Corrections of earlier invoices",
        "corrections_note": "What stood on an earlier invoice is taken away, and what is right stands instead.",
        "line": "Line",
        "tokens_of": "Tokens of",
        "attempts": "Attempts",
        "tokens": "Tokens",
        "per_million": "Per million",
        "amount": "Amount",
        "currency": "",
        "spread": "spread",
        "classes": _CLASSES_EN,
        "plan": "Plans",
        "account": "Account",
        "month": "Month",
        "model": "Model",
        "what": "",
        "unit": "",
        "fee": "Fee of plan",
        "surcharge": "Surcharge of {percent} % on {beyond} beyond the allowance",
        "paid": "Covered or paid already",
        "paid_by": {
            "allowance": "Covered by the allowance",
            "credit": "Paid from credit",
            "owed": "Beyond credit; taken from the next",
        },
        "without_money": "Usage without an amount",
        "without_money_note": "No money is asked for it here; once it has a price, a correction follows.",
        "gaps": {"unpriced": "no price", "unknown": "usage unknown"},
        "totals": "Totals",
        "sums": {
            "charges": "Usage",
            "corrections": "Corrections",
            "fees": "Fees",
            "surcharges": "Surcharges",
            "allowance": "Covered by allowances",
            "credit": "Paid from credit",
            "due": "Amount due",
        },
        "converted": "Due in one currency:",
        "no_rate": "there is no rate for it; it is not in the sum",
        "footer": "Every line is the sum of calls in the ledger up to entry {upto}; amounts are exact. Currencies are not added.",
    },
    "zh": {
        "invoice": "账单",
        "preview": "预览：尚未开具，金额仍可能变动。",
        "number": "账单号",
        "issued": "开具日期",
        "time_zone": "时区",
        "accounts": "账户数",
        "due": "应付金额",
        "usage": "用量",
        "corrections": "对此前账单的更正",
        "corrections_note": "先冲销此前账单中的金额，再列出正确的金额。",
        "line": "行号",
        "tokens_of": "token 类别",
        "attempts": "请求次数",
        "tokens": "token 数",
        "per_million": "每百万单价",
        "amount": "金额",
        "currency": "币种",
        "spread": "分摊",
        "classes": _CLASSES_ZH,
        "plan": "套餐",
        "account": "账户",
        "month": "月份",
        "model": "模型",
        "what": "项目",
        "unit": "单位",
        "fee": "套餐费",
        "surcharge": "超出额度 {beyond}，加收 {percent}%",
        "paid": "已抵扣或已支付",
        "paid_by": {"allowance": "套餐额度抵扣", "credit": "余额支付", "owed": "超出余额，从下次充值中扣除"},
        "without_money": "未计金额的用量",
        "without_money_note": "此处不计费；有了价格之后以更正的方式补计。",
        "gaps": {"unpriced": "暂无价格", "unknown": "用量未知"},
        "totals": "合计",
        "sums": {
            "charges": "用量",
            "corrections": "更正",
            "fees": "套餐费",
            "surcharges": "超额加收",
            "allowance": "额度抵扣",
            "credit": "余额支付",
            "due": "应付金额",
        },
        "converted": "折合同一币种应付：",
        "no_rate": "没有汇率，未计入上面的金额",
        "footer": "每一行都是账本中截至第 {upto} 条记录的调用之和，金额精确无舍入；不同币种不相加。",
    },
}
LANGUAGES = tuple(WORDS)


def month_words(month: str, lang: str) -> str:
    """`November 2026`, `2026年11月`."""
    first = date.fromisoformat(f"{month}-01")
    return f"{first.year}年{first.month}月" if lang == "zh" else f"{_MONTHS[first.month - 1]} {first.year}"


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

"use strict";
// A conversation through the gateway's own door. Money is reckoned in big integers of 10^-12, as the ledger does.

const place = document.querySelector("[data-try]");
if (place) {
  const ask = place.querySelector("[data-ask]");
  const said = place.querySelector("[data-said]");
  const meter = place.querySelector("[data-meter]");
  const stop = place.querySelector("[data-stop]");
  const send = place.querySelector("[data-send]");
  const prices = JSON.parse(place.querySelector("[data-prices]").textContent);
  const words = JSON.parse(place.dataset.words);
  let messages = [];
  let running = null;

  const add = (kind, text) => {
    const block = document.createElement("div");
    block.className = `said ${kind}`;
    block.textContent = text;
    said.append(block);
    return block;
  };

  const amount = (pico) => {
    const digits = pico.toString().padStart(13, "0");
    const fraction = digits.slice(-12).replace(/0+$/, "");
    return digits.slice(0, -12) + (fraction ? `.${fraction}` : "");
  };

  // Until the upstream says what it used, a piece of the stream is taken for a token; the settled numbers replace it.
  const soFar = (model, input, output) => {
    const price = prices[model];
    const tokens = `${(input + output).toLocaleString("en")} ${words.tokens}`;
    if (!price) return `${words.about} ${tokens}`;
    const pico = BigInt(input) * BigInt(price.input) + BigInt(output) * BigInt(price.output);
    return `${words.about} ${tokens}, ${amount(pico)} ${price.currency}`;
  };

  const secret = async () => {
    if (ask.key.value) return ask.key.value;
    const answer = await fetch(location.pathname, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ action: "key", form_token: place.dataset.key }),
    });
    const told = await answer.json();
    if (!told.secret) throw new Error(told.problem);
    return told.secret;
  };

  const settled = async (call) => {
    const answer = await fetch(`${place.dataset.cost}${encodeURIComponent(call)}/cost`);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    meter.replaceChildren(...page.body.firstElementChild.childNodes);
  };

  const problem = async (answer) => {
    try {
      return (await answer.json()).error.message;
    } catch {
      return `${words.failed} (${answer.status})`;
    }
  };

  const talk = async (model, signal) => {
    const body = { model, messages, stream: true, max_tokens: Number(ask.most.value), stream_options: { include_usage: true } };
    const answer = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${await secret()}` },
      body: JSON.stringify(body),
      credentials: "omit",
      signal,
    });
    if (!answer.ok) throw new Error(await problem(answer));
    let input = Math.ceil(JSON.stringify(messages).length / 4);
    let output = 0;
    let text = "";
    let rest = "";
    let thinking = null;
    let block = null;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += value;
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
        const event = JSON.parse(line.slice(6));
        if (event.error) throw new Error(event.error.message);
        if (event.usage) {
          input = event.usage.prompt_tokens;
          output = event.usage.completion_tokens;
        }
        const delta = event.choices?.[0]?.delta ?? {};
        const thought = delta.reasoning_content ?? delta.reasoning;
        if (thought) {
          thinking ??= add("thinking", "");
          thinking.textContent += thought;
          output += 1;
        }
        if (delta.content) {
          block ??= add("", "");
          text += delta.content;
          block.textContent = text;
          output += 1;
        }
        meter.textContent = soFar(model, input, output);
      }
    }
    messages.push({ role: "assistant", content: text });
    const call = answer.headers.get("x-weir-call");
    if (call) await settled(call);
  };

  ask.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = ask.text.value.trim();
    if (!text || running) return;
    add("own", text);
    messages.push({ role: "user", content: text });
    ask.text.value = "";
    running = new AbortController();
    stop.hidden = false;
    send.disabled = true;
    try {
      await talk(ask.model.value, running.signal);
    } catch (error) {
      messages.pop();
      add("thinking", error.name === "AbortError" ? words.stopped : error.message).setAttribute("role", "alert");
    } finally {
      running = null;
      stop.hidden = true;
      send.disabled = false;
      ask.text.focus();
    }
  });
  ask.text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      ask.requestSubmit();
    }
  });
  stop.addEventListener("click", () => running?.abort());
  place.querySelector("[data-clear]").addEventListener("click", () => {
    running?.abort();
    messages = [];
    said.replaceChildren();
    meter.textContent = "";
  });
}

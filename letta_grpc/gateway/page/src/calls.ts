// A tool call: its arguments, how it goes, what it gives, and the question whether it may run.

import { compact } from "./arguments.ts";
import { element } from "./dom.ts";
import { Question, type Answer } from "./question.ts";
import type { ContentPart, Decision, PendingAction, ToolReturn } from "./wire.ts";

const SHORT_LINES = 14;

type State = "written" | "waits" | "answered" | "runs" | "done" | "failed" | "denied";

const STATES: Record<State, string> = {
  written: "is being written",
  waits: "waits for you",
  answered: "answered",
  runs: "is running",
  done: "done",
  failed: "failed",
  denied: "denied",
};

export class CallCard {
  readonly root: HTMLElement;
  private readonly title = element("span", { class: "call-name" });
  private readonly badge = element("span", { class: "badge" });
  private readonly input = element("pre", { class: "arguments" });
  private readonly rest = element("div", { class: "call-rest" });
  private output: Fold | null = null;
  private question: Question | null = null;
  private written = "";
  private isDenied = false;

  constructor(readonly id: string) {
    const head = element("div", { class: "call-head" }, element("span", { class: "call-mark", "aria-hidden": "true" }), this.title);
    head.append(this.badge);
    this.root = element("div", { class: "call", role: "group" }, head, this.input, this.rest);
    this.enter("written");
  }

  get name(): string {
    return this.title.textContent ?? "";
  }

  /** More of the arguments. */
  write(name: string, more: string): void {
    this.call(name, this.written + more);
  }

  /** The whole call. */
  call(name: string, written: string): void {
    this.written = written;
    this.title.textContent = name;
    this.root.setAttribute("aria-label", `Tool call ${name}`);
    this.input.textContent = compact(written);
    this.input.hidden = !written || written === "{}";
  }

  ask(action: PendingAction, onAnswer: (answer: Answer | null) => void): void {
    this.call(action.name ?? this.name, action.arguments ?? this.written);
    this.question?.root.remove();
    this.question = new Question(action, this.written, onAnswer);
    this.rest.append(this.question.root);
    this.enter("waits");
  }

  decided(decision: Decision): void {
    this.settle();
    if (decision.deny) {
      this.isDenied = true;
      this.enter("denied");
      if (decision.deny.reason) this.say(`You denied it: ${decision.deny.reason}`);
      return;
    }
    if (decision.approve?.arguments !== undefined) {
      this.call(this.name, decision.approve.arguments);
      this.say("You approved it with these arguments.");
    }
    this.enter("answered");
  }

  runs(): void {
    this.settle();
    this.enter("runs");
  }

  /** What the running tool writes. */
  writes(text: string): void {
    if (!this.output) {
      this.output = new Fold("Output");
      this.rest.append(this.output.root);
    }
    this.output.set(this.output.text + text);
  }

  note(text: string): void {
    this.say(text);
  }

  returned(value: ToolReturn): void {
    this.settle();
    const isError = value.status === "TOOL_RETURN_STATUS_ERROR";
    this.enter(this.isDenied ? "denied" : isError ? "failed" : "done");
    // The return has all that was written again.
    const lines = [...(value.stdout ?? []), ...(value.stderr ?? [])].join("\n");
    if (lines && !this.output) this.writes(lines);
    this.rest.querySelector(".result")?.remove();
    const text = value.text ?? (value.content?.parts ?? []).map(textOf).join("\n");
    if (!text || this.isDenied) return;
    const result = new Fold(isError ? "Error" : "Result");
    result.root.classList.add("result");
    result.set(text);
    this.rest.append(result.root);
  }

  private settle(): void {
    this.question?.root.remove();
    this.question = null;
  }

  private say(text: string): void {
    this.rest.append(element("p", { class: "call-note" }, text));
  }

  private enter(state: State): void {
    this.root.dataset["state"] = state;
    this.badge.textContent = STATES[state];
  }
}

/** A text that is folded away when it is long. */
class Fold {
  private readonly summary = element("summary");
  private readonly body = element("pre", { dir: "auto" });
  readonly root = element("details", { open: true }, this.summary, this.body);
  text = "";
  private isTouched = false;

  constructor(private readonly title: string) {
    this.summary.addEventListener("click", () => (this.isTouched = true));
  }

  set(text: string): void {
    this.text = text;
    this.body.textContent = text;
    const lines = text.split("\n").length;
    this.summary.textContent = lines > 1 ? `${this.title} · ${lines} lines` : this.title;
    if (!this.isTouched && this.title !== "Output") this.root.open = lines <= SHORT_LINES;
  }
}

function textOf(part: ContentPart): string {
  return part.text ?? (part.image ? "[picture]" : "");
}

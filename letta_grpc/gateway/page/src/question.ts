// The question that a call waits with: may it run, or, for a tool that another program should run, what did it give?

import { faultOf, indented } from "./arguments.ts";
import { button, element, freshId } from "./dom.ts";
import type { Decision, PendingAction, ToolReturn } from "./wire.ts";

export type Answer = { decision: Decision } | { toolReturn: ToolReturn };

/** A text that is asked for: `code` is JSON to begin with. */
interface Wanted {
  label: string;
  action: string;
  send: (text: string) => void;
  code?: string;
}

const LONGEST_REASON = 4096;

export class Question {
  readonly root = element("div", { class: "question" });

  constructor(
    private readonly action: PendingAction,
    private readonly written: string,
    private readonly onAnswer: (answer: Answer | null) => void,
  ) {
    this.open();
  }

  private get id(): string {
    return this.action.toolCallId ?? "";
  }

  private get isApproval(): boolean {
    return this.action.kind !== "ACTION_KIND_CLIENT_TOOL";
  }

  private open(): void {
    if (!this.isApproval) {
      this.write({ label: "What the tool gave", action: "Send the result", send: (text) => this.returns(text) });
      this.root.prepend(element("p", {}, "Another program was to run this tool. You can answer in its place."));
      return;
    }
    this.root.replaceChildren(
      button("Approve", "primary", () => this.decide({ toolCallId: this.id, approve: {} }, "Will be approved.")),
      button("Edit arguments", "", () => this.edit()),
      button("Deny", "danger", () => this.deny()),
    );
  }

  private edit(): void {
    const send = (text: string) =>
      this.decide({ toolCallId: this.id, approve: { arguments: text } }, "Will be approved with your arguments.");
    this.write({ label: "Arguments, as JSON", action: "Approve with these", send, code: indented(this.written) });
  }

  private deny(): void {
    const send = (reason: string) => this.decide({ toolCallId: this.id, deny: { reason } }, "Will be denied.");
    this.write({ label: "Why not? The agent is told.", action: "Deny", send });
  }

  private returns(text: string): void {
    const status = "TOOL_RETURN_STATUS_SUCCESS";
    this.settle({ toolReturn: { toolCallId: this.id, status, text } }, "Your result will be sent.");
  }

  private decide(decision: Decision, said: string): void {
    this.settle({ decision }, said);
  }

  private settle(answer: Answer, said: string): void {
    const change = button("Change", "link", () => {
      this.onAnswer(null);
      this.open();
      this.root.querySelector<HTMLElement>("button, textarea")?.focus();
    });
    this.root.replaceChildren(element("p", { role: "status" }, said), change);
    change.focus();
    this.onAnswer(answer);
  }

  /** Ask for a text. Escape goes back, Enter sends where one line is enough, Ctrl+Enter always. */
  private write({ label, action, send, code }: Wanted): void {
    const isCode = code !== undefined;
    const id = freshId();
    const looks = isCode ? { rows: "5", class: "code" } : { rows: "2", dir: "auto" };
    const field = element("textarea", { id, ...looks, "aria-describedby": `${id}-fault` });
    const wrong = element("p", { class: "fault", id: `${id}-fault`, "aria-live": "polite" });
    const confirm = () => {
      const found = isCode ? faultOf(field.value) : "";
      wrong.textContent = found;
      field.setAttribute("aria-invalid", String(Boolean(found)));
      if (!found) send(field.value.trim());
    };
    field.value = code ?? "";
    if (!isCode && this.isApproval) field.maxLength = LONGEST_REASON;
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.isApproval) {
        event.stopPropagation();
        back();
      } else if (event.key === "Enter" && !event.isComposing && (isCode ? event.ctrlKey || event.metaKey : !event.shiftKey)) {
        event.preventDefault();
        confirm();
      }
    });
    const back = () => {
      this.open();
      this.root.querySelector("button")?.focus();
    };
    const buttons = [button(action, "primary", confirm)];
    if (this.isApproval) buttons.push(button("Back", "", back));
    this.root.replaceChildren(element("label", { for: id }, label), field, wrong, element("div", { class: "row" }, ...buttons));
    if (this.isApproval) field.focus();
  }
}

// Where the person writes: Enter sends, Shift+Enter begins a line, Escape stops the answer.

import { byId } from "./dom.ts";
import type { Mode } from "./chat.ts";

export class Composer {
  private readonly form = byId<HTMLFormElement>("composer");
  private readonly field = byId<HTMLTextAreaElement>("message");
  private readonly sendButton = byId<HTMLButtonElement>("send");
  private readonly stopButton = byId<HTMLButtonElement>("stop");
  private readonly hint = byId("hint");
  private state: Mode = "closed";

  constructor(
    private readonly onSend: (text: string) => void,
    private readonly onStop: () => void,
  ) {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("input", () => this.update());
    this.stopButton.addEventListener("click", () => this.stop());
    addEventListener("keydown", (event) => {
      const isTaken = event.defaultPrevented || document.querySelector("dialog[open]");
      if (event.key === "Escape" && this.state === "answering" && !isTaken) this.stop();
    });
  }

  mode(mode: Mode, hint: string): void {
    this.state = mode;
    this.hint.textContent = hint;
    const isAnswering = mode === "answering";
    const hadFocus = document.activeElement === this.stopButton;
    this.stopButton.hidden = !isAnswering;
    this.stopButton.disabled = false;
    this.sendButton.hidden = isAnswering;
    this.field.disabled = mode === "closed";
    // A button that goes away must not take the focus with it.
    if (hadFocus && !isAnswering) this.field.focus();
    this.update();
  }

  /** Give back what was not sent, unless the person has written on. */
  restore(text: string): void {
    if (!this.field.value) this.field.value = text;
    this.update();
  }

  private send(): void {
    const text = this.field.value.trim();
    if (!text || !(this.state === "idle" || this.state === "asking")) return;
    this.field.value = "";
    this.update();
    this.field.focus();
    this.onSend(text);
  }

  private stop(): void {
    this.stopButton.disabled = true;
    this.field.focus();
    this.onStop();
  }

  private key(event: KeyboardEvent): void {
    // On a phone Enter begins a line, as everywhere there; while a word is being composed it belongs to the input method.
    const isPhone = matchMedia("(pointer: coarse)").matches;
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || isPhone) return;
    event.preventDefault();
    this.send();
  }

  private update(): void {
    this.sendButton.disabled = !this.field.value.trim() || !(this.state === "idle" || this.state === "asking");
  }
}

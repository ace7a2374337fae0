// One message on the page.

import { element } from "./dom.ts";
import { Prose } from "./prose.ts";
import type { ContentPart, Image, Message } from "./wire.ts";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

/** A message that grows by deltas, and is replaced by what was stored. */
export class Bubble {
  readonly root: HTMLElement;
  private readonly parts: (TextPart | ReasoningPart)[] = [];
  private readonly body = element("div", { class: "body" });
  private readonly calls = element("div", { class: "calls" });

  constructor(kind: "person" | "agent" | "note", speaker: string) {
    const name = element("p", { class: "speaker" }, speaker);
    this.root = element("article", { class: `message ${kind}`, "aria-label": speaker }, name, this.body, this.calls);
  }

  set isBusy(isBusy: boolean) {
    this.root.setAttribute("aria-busy", String(isBusy));
  }

  get text(): string {
    return this.parts.map((part) => (part instanceof TextPart ? part.text : "")).join("\n");
  }

  addText(text: string): void {
    const last = this.parts.at(-1);
    if (last instanceof TextPart) last.set(last.text + text);
    else this.add(new TextPart(this.root.classList.contains("agent")), text);
  }

  addReasoning(text: string): void {
    const last = this.parts.at(-1);
    if (last instanceof ReasoningPart) last.set(last.text + text);
    else this.add(new ReasoningPart("Reasoning"), text);
  }

  addCall(card: HTMLElement): void {
    this.calls.append(card);
  }

  addFooter(text: string): void {
    this.root.querySelector(".figures")?.remove();
    this.root.append(element("p", { class: "figures" }, text));
  }

  /** Show what was stored in place of the deltas. */
  complete(message: Message): void {
    const parts = message.content ?? [];
    const isAsStreamed =
      parts.length === this.parts.length && parts.every((part, index) => this.parts[index]!.isOf(part));
    if (!isAsStreamed) {
      this.parts.length = 0;
      this.body.replaceChildren();
      for (const part of parts) this.show(part);
    } else {
      parts.forEach((part, index) => this.parts[index]!.set(part.text ?? part.reasoning ?? ""));
    }
    this.parts.forEach((part) => part.end());
    this.isBusy = false;
  }

  private show(part: ContentPart): void {
    if (part.text !== undefined) this.add(new TextPart(this.root.classList.contains("agent")), part.text);
    else if (part.reasoning !== undefined) this.add(new ReasoningPart("Reasoning"), part.reasoning);
    else if (part.summarizedReasoning !== undefined) this.add(new ReasoningPart("Reasoning, summarized"), part.summarizedReasoning);
    else if (part.image) this.body.append(picture(part.image));
    else this.body.append(element("p", { class: "dim" }, "The model reasoned; its provider does not show what."));
  }

  private add(part: TextPart | ReasoningPart, text: string): void {
    this.parts.at(-1)?.end();
    this.parts.push(part);
    this.body.append(part.root);
    part.set(text);
  }
}

/** Text: Markdown if an agent wrote it, else as it is. Shown once a frame, however often it grows. */
class TextPart {
  readonly root: HTMLElement;
  private readonly prose: Prose | null;
  private isScheduled = false;
  text = "";

  constructor(isMarkdown: boolean) {
    this.prose = isMarkdown ? new Prose() : null;
    this.root = this.prose?.root ?? element("div", { class: "plain", dir: "auto" });
  }

  isOf(part: ContentPart): boolean {
    return part.text !== undefined;
  }

  set(text: string): void {
    this.text = text;
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(() => this.draw());
  }

  end(): void {
    this.draw();
  }

  private draw(): void {
    this.isScheduled = false;
    if (this.prose) this.prose.set(this.text);
    else this.root.textContent = this.text;
  }
}

/** Reasoning: open while it is all there is, folded away afterwards, unless the person wants otherwise. */
class ReasoningPart {
  private readonly body = element("div", { class: "plain", dir: "auto" });
  private readonly summary: HTMLElement;
  readonly root: HTMLDetailsElement;
  private isTouched = false;
  text = "";

  constructor(title: string) {
    this.summary = element("summary", {}, title);
    this.root = element("details", { class: "reasoning", open: true }, this.summary, this.body);
    this.summary.addEventListener("click", () => (this.isTouched = true));
  }

  isOf(part: ContentPart): boolean {
    return part.reasoning !== undefined;
  }

  set(text: string): void {
    this.text = text;
    this.body.textContent = text;
  }

  end(): void {
    if (!this.isTouched) this.root.open = false;
  }
}

function picture(image: Image): HTMLElement {
  const kind = image.mediaType ?? "";
  if (!image.data || !PICTURES.has(kind)) return element("p", { class: "dim" }, "[picture]");
  return element("img", { src: `data:${kind};base64,${image.data}`, alt: "Picture in the message" });
}

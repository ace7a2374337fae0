// The conversation on the page: stored messages and what streams, by the same ids.

import { Bubble } from "./bubbles.ts";
import { CallCard } from "./calls.ts";
import { element } from "./dom.ts";
import type { Answer } from "./question.ts";
import type { Decision, Message, PendingAction, Run, RunEvent, ToolReturn } from "./wire.ts";

export class Transcript {
  private readonly bubbles = new Map<string, Bubble>();
  private readonly cards = new Map<string, CallCard>();
  // What is known of calls that are not on the page: an older page may bring them.
  private readonly returns = new Map<string, ToolReturn>();
  private readonly decisions = new Map<string, Decision>();
  private speaker = "Agent";

  constructor(readonly root: HTMLElement) {}

  clear(speaker: string): void {
    this.speaker = speaker;
    this.root.replaceChildren();
    for (const all of [this.bubbles, this.cards, this.returns, this.decisions]) all.clear();
  }

  get isEmpty(): boolean {
    return this.root.childElementCount === 0;
  }

  knows(messageId: string): boolean {
    return this.bubbles.has(messageId);
  }

  /** Add messages behind what is shown, or ahead of it. */
  show(messages: Message[], where: "end" | "beginning" = "end"): void {
    const place = document.createDocumentFragment();
    for (const message of messages) this.store(message, place);
    if (where === "end") this.root.append(place);
    else this.root.prepend(place);
  }

  /** Show what the person says before the server has stored it. */
  say(otid: string, text: string): void {
    const bubble = new Bubble("person", "You");
    bubble.addText(text);
    this.bubbles.set(otid, bubble);
    this.root.append(bubble.root);
  }

  /** Take back what was not accepted. */
  unsay(otid: string): void {
    this.drop(otid);
  }

  note(text: string, kind = ""): void {
    this.root.append(element("p", { class: `event ${kind}` }, text));
  }

  apply(event: RunEvent): void {
    if (event.messageStarted) this.bubble(event.messageStarted.messageId).isBusy = true;
    else if (event.textDelta) this.bubble(event.textDelta.messageId).addText(event.textDelta.text ?? "");
    else if (event.reasoningDelta?.text) this.bubble(event.reasoningDelta.messageId).addReasoning(event.reasoningDelta.text);
    else if (event.toolCallDelta) {
      const { messageId, toolCallId, name, arguments: more } = event.toolCallDelta;
      this.card(toolCallId, this.bubble(messageId)).write(name ?? "", more ?? "");
    } else if (event.messageCompleted) this.store(event.messageCompleted.message, this.root);
    else if (event.toolExecutionStarted) this.cards.get(event.toolExecutionStarted.toolCallId)?.runs();
    else if (event.toolOutputDelta) {
      this.cards.get(event.toolOutputDelta.toolCallId)?.writes(event.toolOutputDelta.text ?? "");
    } else if (event.toolReturn) this.return(event.toolReturn);
    else if (event.childRunStarted) {
      this.cards.get(event.childRunStarted.toolCallId ?? "")?.note(`Asked ${event.childRunStarted.agentId}.`);
    } else if (event.stepRestarted) event.stepRestarted.voidMessageIds?.forEach((id) => this.drop(id));
    else if (event.contextCompacted) {
      this.note(`${event.contextCompacted.droppedMessages ?? 0} older messages left the model's context. They stay here.`);
    }
  }

  /** Write under the newest answer of a run what it cost, and behind it how it ended if not well. */
  finish(run: Run, figures: string): void {
    for (const bubble of this.bubbles.values()) bubble.isBusy = false;
    const answers = this.root.querySelectorAll<HTMLElement>(".message.agent");
    const last = answers[answers.length - 1];
    if (last && figures) {
      last.querySelector(".figures")?.remove();
      last.append(element("p", { class: "figures" }, figures));
    }
    if (run.state === "RUN_STATE_FAILED") {
      this.note(`The run failed: ${run.error?.message ?? ""} (${run.error?.reason ?? run.stopReason ?? "unknown"})`, "failed");
    } else if (run.state === "RUN_STATE_CANCELLED") this.note("Stopped.");
    else if (run.stopReason === "STOP_REASON_MAX_STEPS") this.note("The run took all of its steps.");
    else if (run.stopReason === "STOP_REASON_MAX_TOKENS") this.note("The model reached its output limit.");
    else if (run.stopReason === "STOP_REASON_CONTENT_FILTER") this.note("The provider cut the answer for what it says.");
  }

  /** Ask about calls that wait. */
  ask(actions: PendingAction[], onAnswer: (id: string, answer: Answer | null) => void): void {
    for (const action of actions) {
      const id = action.toolCallId ?? "";
      const card = this.cards.get(id) ?? this.card(id, this.bubble(`waits-${id}`));
      card.ask(action, (answer) => onAnswer(id, answer));
    }
  }

  decided(decisions: Decision[]): void {
    for (const decision of decisions) {
      this.decisions.set(decision.toolCallId, decision);
      this.cards.get(decision.toolCallId)?.decided(decision);
    }
  }

  /** Return the text of the newest answer, to be read out. */
  newest(messageId: string): string {
    return this.bubbles.get(messageId)?.text ?? "";
  }

  private store(message: Message, place: ParentNode): void {
    if (message.decisions?.length) return this.decidedBefore(message.decisions);
    if (message.toolReturns?.length) return message.toolReturns.forEach((one) => this.return(one));
    const known = this.bubbles.get(message.id) ?? (message.otid ? this.bubbles.get(message.otid) : undefined);
    const bubble = known ?? this.made(message, place);
    this.bubbles.set(message.id, bubble);
    if (message.otid) this.bubbles.delete(message.otid);
    bubble.complete(message);
    for (const call of message.toolCalls ?? []) {
      const id = call.id ?? "";
      const card = this.card(id, bubble);
      card.call(call.name ?? "", call.arguments ?? "");
      const decision = this.decisions.get(id);
      if (decision) card.decided(decision);
      const value = this.returns.get(id);
      if (value) card.returned(value);
    }
  }

  /** A stored answer, which the page may have shown when it was given. */
  private decidedBefore(decisions: Decision[]): void {
    this.decided(decisions.filter((decision) => !this.decisions.has(decision.toolCallId)));
  }

  private return(value: ToolReturn): void {
    const id = value.toolCallId ?? "";
    const isKnown = this.returns.has(id);
    this.returns.set(id, value);
    if (!isKnown) this.cards.get(id)?.returned(value);
  }

  private made(message: Message, place: ParentNode): Bubble {
    const bubble = this.kindOf(message);
    place.append(bubble.root);
    return bubble;
  }

  private kindOf(message: Message): Bubble {
    if (message.role === "ROLE_USER" && !message.stepId) return new Bubble("person", message.name || "You");
    if (message.role === "ROLE_ASSISTANT" || message.role === "ROLE_APPROVAL") return new Bubble("agent", this.speaker);
    if (message.role === "ROLE_SUMMARY") return new Bubble("note", "Summary of what came before");
    return new Bubble("note", "Told to the agent");
  }

  private bubble(id: string): Bubble {
    let bubble = this.bubbles.get(id);
    if (!bubble) {
      bubble = new Bubble("agent", this.speaker);
      this.bubbles.set(id, bubble);
      this.root.append(bubble.root);
    }
    return bubble;
  }

  private card(id: string, bubble: Bubble): CallCard {
    let card = this.cards.get(id);
    if (!card) {
      card = new CallCard(id);
      this.cards.set(id, card);
      bubble.addCall(card.root);
    }
    return card;
  }

  private drop(id: string): void {
    const bubble = this.bubbles.get(id);
    bubble?.root.remove();
    this.bubbles.delete(id);
    for (const [callId, card] of this.cards) if (bubble?.root.contains(card.root)) this.cards.delete(callId);
  }
}

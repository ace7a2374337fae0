// How fast an answer comes: while it does, as the page sees it; afterwards, as the server measured it.

import type { Run, RunEvent } from "./wire.ts";

const CHARACTERS_A_TOKEN = 4;

export class Meter {
  private readonly begun = performance.now();
  private first = 0;
  private characters = 0;

  /** `isReplay`: the run began before the page followed it, so that its times say nothing. */
  constructor(private readonly isReplay: boolean) {}

  see(event: RunEvent): void {
    const delta = event.textDelta?.text ?? event.reasoningDelta?.text ?? event.toolCallDelta?.arguments;
    if (delta === undefined) return;
    if (!this.first) this.first = performance.now();
    this.characters += delta.length;
  }

  get now(): string {
    if (this.isReplay) return "";
    if (!this.first) return `waiting ${seconds((performance.now() - this.begun) / 1000)}`;
    const elapsed = (performance.now() - this.first) / 1000;
    const rate = this.characters / CHARACTERS_A_TOKEN / Math.max(elapsed, 0.05);
    return `first token ${seconds((this.first - this.begun) / 1000)} · ≈ ${Math.round(rate)} tokens/s`;
  }
}

export function figuresOf(run: Run): string {
  const figures = [];
  const first = run.timing?.timeToFirstToken;
  if (first) figures.push(`first token ${seconds(Number.parseFloat(first))}`);
  if (run.timing?.tokensPerSecond) figures.push(`${Math.round(run.timing.tokensPerSecond)} tokens/s`);
  if (run.usage?.completionTokens) figures.push(`${run.usage.completionTokens} tokens`);
  return figures.join(" · ");
}

function seconds(value: number): string {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}

// Keeps the newest in view, for as long as the person wants to see it.

import { byId } from "./dom.ts";

const NEAR_PIXELS = 80;

export class Scrolling {
  private readonly pane = byId("pane");
  private readonly jump = byId<HTMLButtonElement>("jump");
  private isFollowing = true;
  private top = 0;

  constructor(content: HTMLElement) {
    this.pane.addEventListener("scroll", () => this.look(), { passive: true });
    this.jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.follow()).observe(content);
    new ResizeObserver(() => this.follow()).observe(this.pane);
  }

  toEnd(): void {
    this.isFollowing = true;
    this.follow();
  }

  /** Do something above what is in view, which stays where it is. */
  keeping(change: () => void): void {
    const below = this.pane.scrollHeight - this.pane.scrollTop;
    change();
    this.pane.scrollTop = this.pane.scrollHeight - below;
  }

  private look(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.pane;
    // Only who scrolls up has left the end: where an answer has grown since, the end has left instead.
    if (scrollHeight - scrollTop - clientHeight < NEAR_PIXELS) this.isFollowing = true;
    else if (scrollTop < this.top) this.isFollowing = false;
    this.top = scrollTop;
    this.jump.hidden = this.isFollowing;
  }

  private follow(): void {
    if (this.isFollowing) this.pane.scrollTop = this.pane.scrollHeight;
    this.look();
  }
}

// Markdown → elements, for a text that grows.

import { element } from "./dom.ts";
import { blocksOf, parseBlock, type Inline, type Markdown } from "./markdown.ts";

/** Shows a text. Setting a longer one makes anew only the blocks that changed. */
export class Prose {
  readonly root = element("div", { class: "prose" });
  private shown: string[] = [];

  set(text: string): void {
    const blocks = blocksOf(text);
    let same = 0;
    while (same < blocks.length && blocks[same] === this.shown[same]) same += 1;
    while (this.root.childNodes.length > same) this.root.lastChild!.remove();
    for (const block of blocks.slice(same)) this.root.append(directed(elementOf(parseBlock(block))));
    this.shown = blocks;
  }
}

/** Have a block begin where its own script does; what is inside of it goes the same way. */
function directed(block: HTMLElement): HTMLElement {
  if (block.tagName !== "HR") block.dir = "auto";
  return block;
}

function elementOf(block: Markdown): HTMLElement {
  switch (block.kind) {
    case "paragraph":
      return element("p", {}, ...inlines(block.inside));
    case "heading":
      // The page's own headings are above: an answer's begin at the third level.
      return element(block.level < 3 ? "h3" : "h4", {}, ...inlines(block.inside));
    case "code":
      return codeBlock(block.language, block.text);
    case "list": {
      const items = block.items.map((item) => element("li", {}, ...item.map(elementOf)));
      return block.start === null ? element("ul", {}, ...items) : element("ol", { start: String(block.start) }, ...items);
    }
    case "quote":
      return element("blockquote", {}, ...block.inside.map(elementOf));
    case "rule":
      return element("hr");
  }
}

function codeBlock(language: string, text: string): HTMLElement {
  const name = language ? `Code, ${language}` : "Code";
  // It may be wider than the page: whoever has no mouse scrolls it by the arrow keys.
  return element("pre", { tabindex: "0", role: "group", "aria-label": name }, element("code", {}, text));
}

function inlines(all: Inline[]): (Node | string)[] {
  return all.map((one) => {
    switch (one.kind) {
      case "text":
        return one.text;
      case "code":
        return element("code", {}, one.text);
      case "break":
        return element("br");
      case "link":
        return element("a", { href: one.url, target: "_blank", rel: "noopener noreferrer nofollow" }, ...inlines(one.inside));
      default:
        return element(one.kind, {}, ...inlines(one.inside));
    }
  });
}

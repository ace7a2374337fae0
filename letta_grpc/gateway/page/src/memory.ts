// The agent's memory blocks, to be read and edited. Nobody's change is written over without a word.

import { ApiError, getAgent, updateBlock } from "./api.ts";
import { button, element, freshId } from "./dom.ts";
import { DEFAULT_BLOCK_LIMIT, type Agent, type Block } from "./wire.ts";

export class Memory {
  private forms = new Map<string, BlockForm>();
  private agentId = "";

  constructor(private readonly root: HTMLElement) {}

  show(agent: Agent): void {
    if (agent.id !== this.agentId) this.forms.clear();
    this.agentId = agent.id;
    const blocks = agent.memoryBlocks ?? [];
    const known = this.forms;
    this.forms = new Map(blocks.map((block) => [block.label ?? "", known.get(block.label ?? "") ?? new BlockForm(agent.id)]));
    for (const block of blocks) this.forms.get(block.label ?? "")!.take(block);
    const forms = [...this.forms.values()].map((form) => form.root);
    // What has the focus stays where it is: only a change of the blocks themselves lays them out anew.
    if (forms.length !== this.root.childElementCount || forms.some((form, index) => this.root.children[index] !== form)) {
      this.root.replaceChildren(...forms);
    }
    if (!forms.length) this.root.replaceChildren(element("p", { class: "dim" }, "This agent has no memory blocks."));
  }

  /** Look again: the agent may have written something. */
  async refresh(): Promise<void> {
    const agentId = this.agentId;
    try {
      const agent = await getAgent(agentId);
      if (agentId === this.agentId) this.show(agent);
    } catch {
      // What is shown stays; the next look brings it up to date.
    }
  }

  clear(): void {
    this.agentId = "";
    this.forms.clear();
    this.root.replaceChildren();
  }
}

/** Return a text as a field gives it back: with line feeds alone. */
function asInFields(text: string): string {
  return text.replace(/\r\n?/g, "\n");
}

class BlockForm {
  readonly root = element("form", { class: "block" });
  private stored: Block = {};
  private readonly title = element("label", { class: "block-name" });
  private readonly about = element("p", { class: "dim" });
  private readonly field = element("textarea", { rows: "5", spellcheck: "false", dir: "auto" });
  private readonly counter = element("span", { class: "counter" });
  private readonly said = element("div", { class: "said", role: "status" });
  private readonly save = element("button", { type: "submit", class: "primary" }, "Save");
  private readonly revert = button("Revert", "", () => this.take(this.stored, true));

  constructor(private readonly agentId: string) {
    const id = freshId();
    this.field.id = id;
    this.title.htmlFor = id;
    this.counter.id = `${id}-count`;
    this.field.setAttribute("aria-describedby", this.counter.id);
    this.field.addEventListener("input", () => this.update());
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.root.requestSubmit();
    });
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    const row = element("div", { class: "row" }, this.counter, this.revert, this.save);
    this.root.append(this.title, this.about, this.field, row, this.said);
  }

  private get isEdited(): boolean {
    return this.field.value !== asInFields(this.stored.value ?? "");
  }

  private get limit(): number {
    return this.stored.limit ?? DEFAULT_BLOCK_LIMIT;
  }

  /** Show a block as stored; what a person is writing stays, with a word about it. */
  take(block: Block, isForced = false): void {
    const wasEdited = this.isEdited && !isForced;
    const hasChanged = block.value !== this.stored.value && this.stored.version !== undefined;
    this.stored = block;
    this.title.textContent = block.label ?? "";
    this.about.textContent = block.description ?? "";
    this.about.hidden = !block.description;
    if (!wasEdited) {
      this.field.value = block.value ?? "";
      this.said.replaceChildren();
    } else if (hasChanged && this.isEdited) this.conflict();
    this.update();
  }

  private update(): void {
    // The server counts characters, not UTF-16 units.
    const length = [...this.field.value].length;
    const isOver = length > this.limit;
    this.counter.textContent = `${length.toLocaleString("en")} / ${this.limit.toLocaleString("en")}`;
    this.counter.classList.toggle("over", isOver);
    this.field.setAttribute("aria-invalid", String(isOver));
    this.save.disabled = isOver || !this.isEdited;
    this.revert.disabled = !this.isEdited;
  }

  private async send(): Promise<void> {
    if (this.save.disabled) return;
    this.save.disabled = true;
    try {
      const block = await updateBlock(this.agentId, this.stored.label ?? "", this.field.value, this.stored.version ?? 0);
      this.take(block);
      this.said.replaceChildren("Saved.");
    } catch (error) {
      if (error instanceof ApiError && error.reason === "CONCURRENT_CHANGE") await this.refetch();
      else this.said.replaceChildren(`Not saved: ${error instanceof ApiError ? error.message : "the server is out of reach."}`);
      this.update();
    }
  }

  private async refetch(): Promise<void> {
    const agent = await getAgent(this.agentId).catch(() => null);
    const block = agent?.memoryBlocks?.find((one) => one.label === this.stored.label);
    if (block) this.take(block);
    this.conflict();
  }

  private conflict(): void {
    const theirs = element("pre", { dir: "auto" }, this.stored.value ?? "");
    const keep = button("Save mine over it", "", () => this.root.requestSubmit());
    const drop = button("Take theirs", "", () => this.take(this.stored, true));
    this.said.replaceChildren(
      element("p", { class: "fault" }, "It was changed meanwhile, by the agent or somebody else. It now says:"),
      theirs,
      element("div", { class: "row" }, keep, drop),
    );
  }
}

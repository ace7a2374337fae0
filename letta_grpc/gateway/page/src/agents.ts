// Choosing an agent, and making one.

import { ApiError, createAgent, listAgents, listModels } from "./api.ts";
import { byId, element } from "./dom.ts";
import type { Agent } from "./wire.ts";

/** The list in the header. The chosen agent's id is in the address, so that a reload or a link finds it again. */
export class AgentList {
  private readonly select = byId<HTMLSelectElement>("agent");
  private chosen = "";
  private isLoaded = false;

  constructor(private readonly onChoice: (agentId: string) => void) {
    this.select.addEventListener("change", () => (location.hash = this.select.value));
    addEventListener("hashchange", () => this.choose());
  }

  /** Whether there are no agents, as far as the server has said. */
  get isEmpty(): boolean {
    return this.isLoaded && this.select.options.length === 0;
  }

  async load(): Promise<void> {
    const agents = await listAgents();
    this.isLoaded = true;
    this.select.replaceChildren(...agents.map(optionOf));
    this.select.disabled = agents.length === 0;
    this.choose();
  }

  add(agent: Agent): void {
    this.know(agent);
    location.hash = agent.id;
  }

  /** Have an agent in the list, also one that was made elsewhere since the list was loaded. */
  know(agent: Agent): void {
    if (![...this.select.options].some((option) => option.value === agent.id)) this.select.prepend(optionOf(agent));
    this.select.disabled = false;
    if (agent.id === location.hash.slice(1)) this.select.value = agent.id;
  }

  private choose(): void {
    const wanted = location.hash.slice(1);
    // The page has addresses of its own, as that of the message field: they leave the conversation as it is.
    const isOwn = wanted !== "" && document.getElementById(wanted) !== null;
    if (isOwn && this.chosen) return history.replaceState(null, "", `#${this.chosen}`);
    const id = isOwn || !wanted ? (this.select.options[0]?.value ?? "") : wanted;
    if (id && id !== wanted) history.replaceState(null, "", `#${id}`);
    this.chosen = id;
    this.select.value = id;
    this.onChoice(id);
  }
}

function optionOf(agent: Agent): HTMLOptionElement {
  return element("option", { value: agent.id }, agent.name || agent.id);
}

/** The dialog that makes an agent. */
export class NewAgent {
  private readonly dialog = byId<HTMLDialogElement>("new-agent");
  private readonly form = byId<HTMLFormElement>("new-agent-form");
  private readonly fault = byId("new-agent-fault");

  constructor(private readonly onMade: (agent: Agent) => void) {
    byId("open-new-agent").addEventListener("click", () => this.open());
    byId("close-new-agent").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.make();
    });
  }

  open(): void {
    this.fault.textContent = "";
    this.dialog.showModal();
    void this.fillModels();
  }

  private async fillModels(): Promise<void> {
    const handles = await listModels().catch(() => []);
    byId("models").replaceChildren(...handles.map((handle) => element("option", { value: handle })));
    const field = byId<HTMLInputElement>("new-model");
    if (!field.value) field.value = handles.find((handle) => !handle.startsWith("scripted/")) ?? "scripted/demo";
  }

  private async make(): Promise<void> {
    const value = (id: string) => byId<HTMLInputElement | HTMLTextAreaElement>(id).value.trim();
    const system = value("new-system");
    const blocks = ["human", "persona"].map((label) => ({ label, value: value(`new-${label}`) }));
    const agent = { name: value("new-name"), model: value("new-model"), memoryBlocks: blocks, ...(system ? { system } : {}) };
    try {
      const made = await createAgent(agent);
      this.form.reset();
      this.dialog.close();
      this.onMade(made);
    } catch (error) {
      this.fault.textContent = error instanceof ApiError ? error.message : "The server is out of reach.";
    }
  }
}

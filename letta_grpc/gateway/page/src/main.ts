// The page, put together.

import { AgentList, NewAgent } from "./agents.ts";
import { ApiError, isSendable, storedKey, storeKey } from "./api.ts";
import { Chat, type View } from "./chat.ts";
import { Composer } from "./composer.ts";
import { byId } from "./dom.ts";
import { Memory } from "./memory.ts";
import { patiently } from "./patience.ts";
import { Scrolling } from "./scrolling.ts";
import { Transcript } from "./transcript.ts";

const WIDE = "(min-width: 64rem)";

const log = byId("log");
const scrolling = new Scrolling(log);
const transcript = new Transcript(log);
const composer: Composer = new Composer(
  (text) => {
    scrolling.toEnd();
    void chat.send(text);
  },
  () => void chat.stop(),
);

const view: View = {
  mode(mode, hint) {
    document.body.dataset["mode"] = mode;
    composer.mode(mode, hint);
    if (mode === "answering") scrolling.toEnd();
    byId("welcome").hidden = !(mode === "closed" && agents.isEmpty);
    byId("greeting").hidden = !(mode === "idle" && transcript.isEmpty);
  },
  figures: (text) => (byId("figures").textContent = text),
  link(isUp) {
    byId("link").hidden = isUp;
  },
  announce: (text) => (byId("announcement").textContent = text),
  focus: () => byId("message").focus(),
  restore: (text) => composer.restore(text),
  opened: (agent) => agents.know(agent),
  needsKey: () => openKey("This server wants an API key."),
  older(hasMore) {
    const button = byId("older");
    // A button that goes away must not take the focus with it: from here the keys scroll what it has brought.
    if (!hasMore && document.activeElement === button) byId("pane").focus({ preventScroll: true });
    button.hidden = !hasMore;
  },
  keeping: (change) => scrolling.keeping(change),
};

const chat: Chat = new Chat(transcript, new Memory(byId("blocks")), view);
const agents: AgentList = new AgentList((id) => (id ? void chat.open(id) : chat.close()));
const newAgent = new NewAgent((agent) => {
  agents.add(agent);
  byId("message").focus();
});

byId("first-agent").addEventListener("click", () => newAgent.open());
byId("older").addEventListener("click", () => void chat.older());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") void chat.lookAgain();
});

function showMemory(isShown: boolean): void {
  byId("memory").hidden = !isShown;
  byId("toggle-memory").setAttribute("aria-expanded", String(isShown));
}

byId("toggle-memory").addEventListener("click", () => showMemory(byId("memory").hidden === true));
byId("close-memory").addEventListener("click", () => {
  showMemory(false);
  byId("toggle-memory").focus();
});
byId("memory").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || matchMedia(WIDE).matches) return;
  event.preventDefault();
  byId("close-memory").click();
});
showMemory(matchMedia(WIDE).matches);

function openKey(reason: string): void {
  byId("key-reason").textContent = reason;
  byId<HTMLInputElement>("key").value = storedKey();
  const dialog = byId<HTMLDialogElement>("key-dialog");
  faultyKey("");
  if (!dialog.open) dialog.showModal();
}

function faultyKey(fault: string): void {
  byId("key-fault").textContent = fault;
  byId("key").setAttribute("aria-invalid", String(fault !== ""));
}

byId("open-key").addEventListener("click", () => openKey(""));
byId("close-key").addEventListener("click", () => byId<HTMLDialogElement>("key-dialog").close());
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = byId<HTMLInputElement>("key").value.trim();
  if (!isSendable(key)) return faultyKey("A key has only letters, digits and signs of ASCII: a header takes no others.");
  storeKey(key);
  byId<HTMLDialogElement>("key-dialog").close();
  void begin();
});

async function begin(): Promise<void> {
  try {
    await patiently(() => agents.load(), new AbortController().signal, view.link);
  } catch (error) {
    view.mode("closed", "");
    if (error instanceof ApiError && error.status === 401) view.needsKey();
    else transcript.note(error instanceof Error ? error.message : String(error), "failed");
  }
}

void begin();

// A subset of Markdown as data: what models write. Whatever is not of it stays text.

export type Inline =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "em" | "del"; inside: Inline[] }
  | { kind: "link"; url: string; inside: Inline[] }
  | { kind: "break" };

export type Markdown =
  | { kind: "paragraph"; inside: Inline[] }
  | { kind: "heading"; level: number; inside: Inline[] }
  | { kind: "code"; language: string; text: string }
  | { kind: "list"; start: number | null; items: Markdown[][] }
  | { kind: "quote"; inside: Markdown[] }
  | { kind: "rule" };

// None of these can take more than linear time, whatever a line holds.
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+)(?=\S)/;
const QUOTE = /^ {0,3}> ?/;
// Deeper nesting than anybody reads stays text, so that no answer can make the page recurse without end.
const DEEPEST = 8;

/** Split a text at the blocks of its top level: a text that grows changes none but the last ones. */
export function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  for (let at = 0; at < lines.length; ) {
    const end = endOfBlock(lines, at);
    const block = lines.slice(at, end).join("\n");
    if (block.trim()) blocks.push(block);
    at = end;
  }
  return blocks;
}

function endOfBlock(lines: string[], at: number): number {
  const line = lines[at]!;
  const fence = FENCE.exec(line);
  if (fence) return endOfFence(lines, at, fence[1]!);
  if (!line.trim() || HEADING.test(line) || RULE.test(line)) return at + 1;
  if (ITEM.test(line)) return endOfList(lines, at);
  const isQuote = QUOTE.test(line);
  let end = at + 1;
  while (end < lines.length && (isQuote ? QUOTE.test(lines[end]!) : goesOn(lines[end]!))) end += 1;
  return end;
}

function goesOn(line: string): boolean {
  return line.trim() !== "" && ![FENCE, HEADING, RULE, QUOTE, ITEM].some((beginning) => beginning.test(line));
}

function endOfFence(lines: string[], at: number, mark: string): number {
  for (let end = at + 1; end < lines.length; end += 1) {
    const line = lines[end]!.trim();
    if (line.startsWith(mark) && line.replaceAll(mark[0]!, "") === "") return end + 1;
  }
  return lines.length;
}

function endOfList(lines: string[], at: number): number {
  const isOrdered = /^\s*\d/.test(lines[at]!);
  let indent = ITEM.exec(lines[at]!)![0].length;
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const line = lines[end]!;
    if (!line.trim() || leadingSpaces(line) >= indent) continue;
    const item = ITEM.exec(line);
    if (item ? /^\d/.test(item[2]!) !== isOrdered || RULE.test(line) : !(lines[end - 1]!.trim() && goesOn(line))) break;
    if (item) indent = item[0].length;
  }
  return end;
}

function leadingSpaces(line: string): number {
  return line.length - line.trimStart().length;
}

export function parseBlock(source: string, depth = 0): Markdown {
  const lines = source.split("\n");
  const first = lines[0]!;
  const fence = FENCE.exec(first);
  if (fence) {
    const isClosed = lines.length > 1 && endOfFence(lines, 0, fence[1]!) === lines.length && isFenceEnd(lines.at(-1)!, fence[1]!);
    return { kind: "code", language: fence[2]!.trim().split(/\s/, 1)[0]!, text: lines.slice(1, isClosed ? -1 : undefined).join("\n") };
  }
  const heading = HEADING.exec(first);
  if (heading) return { kind: "heading", level: heading[1]!.length, inside: inline(heading[2]!.trimEnd()) };
  if (RULE.test(first)) return { kind: "rule" };
  if (depth < DEEPEST && ITEM.test(first)) return list(lines, depth);
  if (depth < DEEPEST && QUOTE.test(first)) {
    const text = lines.map((line) => line.replace(QUOTE, "")).join("\n");
    return { kind: "quote", inside: blocksOf(text).map((block) => parseBlock(block, depth + 1)) };
  }
  return { kind: "paragraph", inside: inline(source) };
}

function isFenceEnd(line: string, mark: string): boolean {
  return line.trim().startsWith(mark) && line.trim().replaceAll(mark[0]!, "") === "";
}

function list(lines: string[], depth: number): Markdown {
  const items: string[][] = [];
  let indent = 0;
  for (const line of lines) {
    const item = items.length && leadingSpaces(line) >= indent ? null : ITEM.exec(line);
    if (item) {
      items.push([line.slice(item[0].length)]);
      indent = item[0].length;
    } else {
      items.at(-1)!.push(line.replace(new RegExp(`^ {0,${indent}}`), ""));
    }
  }
  const number = /^\s*(\d+)/.exec(lines[0]!);
  const inside = items.map((item) => blocksOf(item.join("\n")).map((block) => parseBlock(block, depth + 1)));
  return { kind: "list", start: number ? Number(number[1]) : null, items: inside };
}

const LINK = /!?\[([^\[\]]{0,1000})\]\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()]{0,200}\))?[^\s()<>]{0,2000})>?(?:\s+"[^"]{0,1000}")?\s*\)/y;
const BARE = /https?:\/\/[^\s<>"'`]{1,2000}/y;
const WORD = /[\p{L}\p{N}]/u;

export function inline(text: string, depth = 0): Inline[] {
  const found: Inline[] = [];
  // Marks that nothing closes any more: looked for once, not from each place again.
  const unclosed = new Set<string>();
  const pairs: Pairs = depth < DEEPEST ? pairsOf(text) : new Map();
  let plain = "";
  const add = (one: Inline) => {
    if (plain) found.push({ kind: "text", text: plain });
    plain = "";
    found.push(one);
  };
  let at = 0;
  while (at < text.length) {
    const special = specialAt(text, at, depth, unclosed, pairs);
    if (special) {
      add(special.inline);
      at = special.end;
    } else if (text[at] === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  if (plain) found.push({ kind: "text", text: plain });
  return found;
}

interface Special {
  inline: Inline;
  end: number;
}

function specialAt(text: string, at: number, depth: number, unclosed: Set<string>, pairs: Pairs): Special | null {
  switch (text[at]) {
    case "\n":
      return { inline: { kind: "break" }, end: at + 1 };
    case "`":
      return codeAt(text, at, unclosed);
    case "[":
    case "!":
      return depth < DEEPEST ? linkAt(text, at, depth) : null;
    case "h":
      return bareLinkAt(text, at);
    case "*":
    case "_":
    case "~":
      return pairAt(text, at, depth, pairs);
    default:
      return null;
  }
}

function codeAt(text: string, at: number, unclosed: Set<string>): Special | null {
  let mark = "`";
  while (text[at + mark.length] === "`") mark += "`";
  if (unclosed.has(mark)) return { inline: { kind: "text", text: mark }, end: at + mark.length };
  for (let end = text.indexOf(mark, at + mark.length); end >= 0; end = text.indexOf(mark, end)) {
    let length = mark.length;
    while (text[end + length] === "`") length += 1;
    if (length === mark.length) {
      const inside = text.slice(at + mark.length, end).replaceAll("\n", " ");
      const isPadded = inside.startsWith(" ") && inside.endsWith(" ") && inside.trim() !== "";
      return { inline: { kind: "code", text: isPadded ? inside.slice(1, -1) : inside }, end: end + length };
    }
    end += length;
  }
  unclosed.add(mark);
  return { inline: { kind: "text", text: mark }, end: at + mark.length };
}

function linkAt(text: string, at: number, depth: number): Special | null {
  LINK.lastIndex = at;
  const link = LINK.exec(text);
  const url = link && safeUrl(link[2]!);
  // A picture stays a link to it: loading one tells its server who reads this.
  return link && url ? { inline: { kind: "link", url, inside: inline(link[1] || url, depth + 1) }, end: LINK.lastIndex } : null;
}

function bareLinkAt(text: string, at: number): Special | null {
  if (at > 0 && WORD.test(text[at - 1]!)) return null;
  BARE.lastIndex = at;
  const found = BARE.exec(text)?.[0].replace(/[.,;:!?)\]}*_~]+$/, "");
  const url = found && safeUrl(found);
  return url ? { inline: { kind: "link", url, inside: [{ kind: "text", text: found }] }, end: at + found.length } : null;
}

function pairAt(text: string, at: number, depth: number, pairs: Pairs): Special | null {
  const pair = pairs.get(at);
  if (!pair) return null;
  const kind = text[at] === "~" ? "del" : pair.width === 2 ? "strong" : "em";
  return { inline: { kind, inside: inline(text.slice(at + pair.width, pair.end), depth + 1) }, end: pair.end + pair.width };
}

/** What a mark of so many characters is closed by: the same mark at `end`. */
interface Pair {
  width: number;
  end: number;
}

type Pairs = Map<number, Pair>;

/** Marks in a row, the last of which may still be closed. */
interface Opened {
  mark: string;
  at: number;
  width: number;
}

/** Return the marks that are closed, by where they are: in one pass, each closing the nearest one of its kind. */
function pairsOf(text: string): Pairs {
  const pairs: Pairs = new Map();
  const open: Opened[] = [];
  // How many of each kind are open: where none is, none is looked for.
  const count = new Map<string, number>();
  const unclosed = new Set<string>();
  const pop = () => {
    const { mark } = open.pop()!;
    count.set(mark, count.get(mark)! - 1);
  };
  for (let at = 0; at < text.length; ) {
    const mark = text[at]!;
    if (!"*_~".includes(mark)) {
      at = pastOpaque(text, at, unclosed);
      continue;
    }
    let end = at + 1;
    while (text[end] === mark) end += 1;
    const { opens, closes } = sides(text, at, end);
    while (closes && at < end && count.get(mark)) {
      while (open.at(-1)!.mark !== mark) pop();
      const below = open.at(-2);
      // `**a *b**`: the one that fits is meant, and the other is an asterisk.
      if (open.at(-1)!.width !== end - at && below?.mark === mark && below.width === end - at) pop();
      const opened = open.at(-1)!;
      const width = Math.min(2, opened.width, end - at);
      opened.width -= width;
      pairs.set(opened.at + opened.width, { width, end: at });
      if (!opened.width) pop();
      at += width;
    }
    if (opens && at < end) {
      open.push({ mark, at, width: end - at });
      count.set(mark, (count.get(mark) ?? 0) + 1);
    }
    at = end;
  }
  return pairs;
}

/** Whether marks can open what comes behind them, and close what comes ahead. */
function sides(text: string, at: number, end: number): { opens: boolean; closes: boolean } {
  const [before, behind] = [text[at - 1] ?? "", text[end] ?? ""];
  const isPossible = text[at] !== "~" || end - at === 2;
  const isWord = (one: string) => text[at] === "_" && WORD.test(one);
  return {
    opens: isPossible && !/^\s?$/.test(behind) && !isWord(before),
    closes: isPossible && !/^\s?$/.test(before) && !isWord(behind),
  };
}

/** Return where what begins here ends, if marks inside of it mean nothing. */
function pastOpaque(text: string, at: number, unclosed: Set<string>): number {
  switch (text[at]) {
    case "\\":
      return at + 2;
    case "`":
      return codeAt(text, at, unclosed)?.end ?? at + 1;
    case "h":
      return bareLinkAt(text, at)?.end ?? at + 1;
    case "[":
      LINK.lastIndex = at;
      return LINK.test(text) ? LINK.lastIndex : at + 1;
    default:
      return at + 1;
  }
}

/** Return an address that a person may be led to, or nothing. */
export function safeUrl(text: string): string | null {
  try {
    const url = new URL(text);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

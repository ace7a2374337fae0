// Arguments of tool calls for people. They stay text: numbers and the order of names are as the model wrote them.

// Longer ones nobody reads, and they come from a model: they are shown as they are.
const LONGEST = 100_000;

/** Return JSON text on indented lines; text that is no JSON as it is. */
export function indented(json: string): string {
  if (json.length > LONGEST || !isJson(json)) return json;
  let depth = 0;
  let last = "";
  const out: string[] = [];
  for (const token of json.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+/g) ?? []) {
    const isFirst = last === "{" || last === "[";
    if (token === "}" || token === "]") {
      depth -= 1;
      out.push(isFirst ? token : newLine(depth) + token);
    } else if (token === ":") out.push(": ");
    else out.push((isFirst || last === "," ? newLine(depth) : "") + token);
    if (token === "{" || token === "[") depth += 1;
    last = token;
  }
  return out.join("");
}

const LINE = 68;

/** Return JSON text on one line where that is short enough, else as `indented`. */
export function compact(json: string): string {
  const lines = indented(json).split("\n");
  const line = lines.map((one, index) => one.trim() + (index && one.endsWith(",") ? " " : "")).join("");
  return line.length <= LINE ? line : lines.join("\n");
}

function newLine(depth: number): string {
  return `\n${"  ".repeat(depth)}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Say what is wrong with arguments that a person wrote; nothing if they can be sent. */
export function faultOf(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? "" : "Arguments are a JSON object: { … }";
  } catch (error) {
    return `This is not JSON: ${error instanceof Error ? error.message : error}`;
  }
}

// Arguments of tool calls for people. They stay text: numbers and the order of names are as the model wrote them.

/** Return JSON text on indented lines; text that is no JSON as it is. */
export function indented(json: string): string {
  if (!isJson(json)) return json;
  let depth = 0;
  let out = "";
  for (const token of json.match(/"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+/g) ?? []) {
    const isClosing = token === "}" || token === "]";
    if (isClosing) depth -= 1;
    if (isClosing && /[{[]$/.test(out)) out += token;
    else if (isClosing) out += newLine(depth) + token;
    else if (token === ":") out += ": ";
    else out += (/[{[,]$/.test(out) ? newLine(depth) : "") + token;
    if (token === "{" || token === "[") depth += 1;
  }
  return out;
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

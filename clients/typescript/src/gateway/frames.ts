// Server-sent events out of bytes, cut anywhere. Source: HTML Living Standard, "Parsing an event stream".

export interface Frame {
  /** Null without an id of its own. */
  readonly id: string | null;
  readonly event: string;
  /** Null of a block without data: a comment, by which the server says that it is there. */
  readonly data: string | null;
}

const LINE_END = /\r\n|\r|\n/g;

/** Takes bytes as they come, and gives the frames that they complete. What is not completed by its blank line is none. */
export class FrameParser {
  // A byte order mark at the beginning is taken away by the decoder, and bytes of one character may come apart.
  readonly #decoder = new TextDecoder();
  #line = "";
  #isEndedByReturn = false;
  #id: string | null = null;
  #event = "";
  #data: string[] = [];
  #hasComment = false;

  *push(bytes: Uint8Array): Generator<Frame> {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (this.#isEndedByReturn && text) {
      // The line feed of a CR LF that was cut between the two.
      if (text.startsWith("\n")) text = text.slice(1);
      this.#isEndedByReturn = false;
    }
    let begin = 0;
    for (const end of text.matchAll(LINE_END)) {
      const line = this.#line + text.slice(begin, end.index);
      this.#line = "";
      begin = end.index + end[0].length;
      this.#isEndedByReturn = end[0] === "\r" && begin === text.length;
      if (line) this.#field(line);
      else yield* this.#block();
    }
    this.#line += text.slice(begin);
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) this.#hasComment = true;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }

  *#block(): Generator<Frame> {
    const data = this.#data.length ? this.#data.join("\n") : null;
    if (data !== null || this.#hasComment) yield { id: this.#id, event: this.#event || "message", data };
    this.#id = null;
    this.#event = "";
    this.#data = [];
    this.#hasComment = false;
  }
}

// Server-sent events out of bytes, cut anywhere. Source: HTML Living Standard, "Parsing an event stream".

export interface Frame {
  id: string | null;
  event: string;
  data: string;
}

/** Takes bytes as they come, and gives the events that they complete. What is not completed by its blank line is none. */
export class FrameParser {
  // A byte order mark at the beginning is taken away by the decoder, and bytes of one character may come apart.
  private readonly decoder = new TextDecoder("utf-8");
  private line = "";
  private endedByReturn = false;
  private id: string | null = null;
  private event = "";
  private data: string[] = [];

  push(bytes: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    let text = this.decoder.decode(bytes, { stream: true });
    if (this.endedByReturn && text) {
      // The line feed of a CR LF that was cut between the two.
      if (text.startsWith("\n")) text = text.slice(1);
      this.endedByReturn = false;
    }
    const ends = /\r\n|\r|\n/g;
    let begin = 0;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      this.take(this.line + text.slice(begin, end.index), frames);
      this.line = "";
      begin = ends.lastIndex;
      this.endedByReturn = end[0] === "\r" && begin === text.length;
    }
    this.line += text.slice(begin);
    return frames;
  }

  private take(line: string, frames: Frame[]): void {
    if (line === "") {
      if (this.data.length) frames.push({ id: this.id, event: this.event || "message", data: this.data.join("\n") });
      this.event = "";
      this.data = [];
      this.id = null;
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.data.push(value);
    else if (name === "event") this.event = value;
    else if (name === "id" && !value.includes("\0")) this.id = value;
  }
}

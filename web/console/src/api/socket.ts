// A websocket that comes back: each time with a new ticket and where it was, ever more patiently.
import { post, Refused } from "./http";

export type Line = "connecting" | "live" | "lost";

const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 10_000;

export class ResumingSocket<Frame> {
  private socket: WebSocket | null = null;
  private timer: number | undefined;
  private waitMs = WAIT_MS_MIN;
  private isClosed = false;
  private attempt = 0;

  constructor(
    private readonly address: string,
    private readonly query: () => Record<string, string>,
    private readonly take: (frame: Frame) => void,
    private readonly tell: (line: Line) => void,
  ) {
    this.tell("connecting");
    void this.open();
  }

  close(): void {
    this.isClosed = true;
    window.clearTimeout(this.timer);
    this.socket?.close();
  }

  /** Somebody knows that the server is out of reach: what is silent is not alive. */
  drop(): void {
    if (this.socket !== null) this.lose();
  }

  /** Where somebody knows that it is back: no longer wait. */
  hurry(): void {
    if (this.timer === undefined || this.isClosed) return;
    window.clearTimeout(this.timer);
    this.timer = undefined;
    void this.open();
  }

  private async open(): Promise<void> {
    const attempt = ++this.attempt;
    try {
      const { ticket } = await post<{ ticket: string }>("/ws/tickets", {});
      if (this.isClosed || attempt !== this.attempt) return;
      const query = new URLSearchParams({ ...this.query(), ticket });
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}${this.address}?${query.toString()}`);
      this.socket = socket;
      socket.onopen = () => {
        this.waitMs = WAIT_MS_MIN;
        this.tell("live");
      };
      socket.onmessage = (message) => this.take(JSON.parse(String(message.data)) as Frame);
      socket.onclose = () => {
        if (this.socket === socket) this.lose();
      };
    } catch (error) {
      if (error instanceof Refused && error.status === 403) return;
      this.lose();
    }
  }

  private lose(): void {
    const socket = this.socket;
    this.socket = null;
    this.attempt += 1;
    if (socket !== null) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    if (this.isClosed) return;
    this.tell("lost");
    this.timer = window.setTimeout(
      () => {
        this.timer = undefined;
        void this.open();
      },
      this.waitMs * (0.5 + Math.random() / 2),
    );
    this.waitMs = Math.min(2 * this.waitMs, WAIT_MS_MAX);
  }
}


import { render } from "preact";
import "./styles/index.css";
import { App } from "./App";
import { listenToKeys } from "./keyboard";
import { endSingleSignOn } from "./session";
import { soundAlarms } from "./sound";
import { say } from "./store/toasts";

const root = document.getElementById("console");
if (root !== null) {
  await endSingleSignOn().catch((error: Error) => say(error.message, "problem"));
  listenToKeys();
  soundAlarms();
  render(<App />, root);
}

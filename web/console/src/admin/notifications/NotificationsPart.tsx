// Whom alarms are told outside of this system: over which channels, of what and when, and what was sent.
import { useState } from "preact/hooks";
import { get } from "../../api/http";
import type { Channel, Subscription } from "../../api/pageTypes";
import { useAsked } from "../../store/asked";
import { Channels } from "./Channels";
import { Sent } from "./Sent";
import { Subscriptions } from "./Subscriptions";

export function NotificationsPart() {
  const channels = useAsked((signal) => get<Channel[]>("/notification-channels", {}, signal), []);
  const subscriptions = useAsked((signal) => get<Subscription[]>("/notification-subscriptions", {}, signal), []);
  const [timesTold, setTimesTold] = useState(0);
  const problem = channels.problem || subscriptions.problem;
  if (channels.found === null || subscriptions.found === null) return problem === "" ? null : <p class="problem">{problem}</p>;
  const changed = () => {
    channels.again();
    subscriptions.again();
    setTimesTold((count) => count + 1);
  };
  return (
    <>
      {problem !== "" && <p class="problem">{problem}</p>}
      <Channels channels={channels.found} changed={changed} />
      <Subscriptions channels={channels.found} subscriptions={subscriptions.found} changed={changed} />
      <Sent channels={channels.found} by={timesTold} />
    </>
  );
}

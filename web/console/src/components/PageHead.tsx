// The name of a page that is not live, and the pages beside it.
import type { ComponentChildren } from "preact";
import { addressOf, type Route } from "../route";

interface Props {
  title: string;
  tabs?: readonly { to: Route; name: string; isHere: boolean }[];
  children?: ComponentChildren;
}

export function PageHead({ title, tabs = [], children }: Props) {
  return (
    <header class="desk-head">
      <h1>{title}</h1>
      {tabs.length > 0 && (
        <nav class="tabs" aria-label={title}>
          {tabs.map(({ to, name, isHere }) => (
            <a key={name} href={addressOf(to)} aria-current={isHere ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
      )}
      {children}
    </header>
  );
}

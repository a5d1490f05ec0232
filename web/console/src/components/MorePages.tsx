// The pages that are not live, folded: the bar has room for what is always looked at.
import { useEffect, useRef } from "preact/hooks";
import { t, type Word } from "../i18n";
import { addressOf, route, type Route } from "../route";
import { user } from "../session";
import { useFolding } from "./folding";

const PAGES: [Route, Word, string][] = [
  [{ page: "reports", id: "handover" }, "reports", "3"],
  [{ page: "history" }, "history", "4"],
  [{ page: "exports" }, "exports", "5"],
];
const FOR_ADMINS: [Route, Word, string][] = [[{ page: "admin", id: "users" }, "administration", ""]];

export function MorePages() {
  const own = useRef<HTMLDetailsElement>(null);
  const here = route.value;
  const pages = user.value?.role === "Admin" ? [...PAGES, ...FOR_ADMINS] : PAGES;
  const close = () => {
    if (own.current !== null) own.current.open = false;
  };
  useEffect(close, [here]);
  useFolding(own);
  return (
    <details class="more-pages" ref={own}>
      <summary aria-current={pages.some(([to]) => to.page === here.page) ? "page" : undefined}>{t("more")}</summary>
      <ul>
        {pages.map(([to, word, key]) => (
          <li key={word}>
            <a href={addressOf(to)} aria-current={to.page === here.page ? "page" : undefined} onClick={close}>
              {t(word)} {key !== "" && <kbd>{key}</kbd>}
            </a>
          </li>
        ))}
      </ul>
    </details>
  );
}

// Something that unfolds over the page goes away once somebody has clicked beside it.
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

export function useFolding(own: RefObject<HTMLDetailsElement | null>): void {
  useEffect(() => {
    // Not when the pointer goes down: what moves then is not where the click ends.
    const listen = (event: Event) => {
      if (own.current !== null && !event.composedPath().includes(own.current)) own.current.open = false;
    };
    window.addEventListener("click", listen);
    return () => window.removeEventListener("click", listen);
  }, []);
}

// Something that unfolds over the page goes away as soon as somebody clicks beside it.
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

export function useFolding(own: RefObject<HTMLDetailsElement | null>): void {
  useEffect(() => {
    const listen = (event: Event) => {
      if (own.current !== null && !own.current.contains(event.target as Node)) own.current.open = false;
    };
    window.addEventListener("pointerdown", listen);
    return () => window.removeEventListener("pointerdown", listen);
  }, []);
}

// Where names stand on the map: beside their marks, over no other name and no other mark, the first ones first.
export interface Named {
  x: number;
  y: number;
  name: string;
  isBold: boolean;
}

export interface NamePlace {
  /** From the mark to where the text is anchored. */
  dx: number;
  dy: number;
  anchor: "start" | "middle" | "end";
  /** Far from its mark, which a line then leads to. */
  isFar: boolean;
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const LETTER = { plain: 7.4, bold: 8.2 };
const ABOVE_LINE = 11;
const BELOW_LINE = 4;
const MARK = 13;
const NEAR: NamePlace[] = [
  { dx: 0, dy: 30, anchor: "middle", isFar: false },
  { dx: 0, dy: -20, anchor: "middle", isFar: false },
  { dx: 19, dy: 5, anchor: "start", isFar: false },
  { dx: -19, dy: 5, anchor: "end", isFar: false },
  { dx: 8, dy: 28, anchor: "start", isFar: false },
  { dx: -8, dy: 28, anchor: "end", isFar: false },
  { dx: 8, dy: -20, anchor: "start", isFar: false },
  { dx: -8, dy: -20, anchor: "end", isFar: false },
];
const FAR: NamePlace[] = [50, 70, 90].flatMap((by) =>
  [by, -by + 8].flatMap((dy) => (["middle", "start", "end"] as const).map((anchor) => ({ dx: 0, dy, anchor, isFar: true }))),
);

/** A place for each, in the same order; null where there is none. */
export function placedNames(marks: readonly Named[], width: number, height: number): (NamePlace | null)[] {
  const taken: Box[] = [];
  const frame = { left: 2, right: width - 2, top: 2, bottom: height - 2 };
  return marks.map((mark, place) => {
    const others = marks.filter((_, other) => other !== place).map(boxOfMark);
    const found = [...NEAR, ...FAR].find((at) => {
      const box = boxOf(mark, at);
      return isWithin(box, frame) && ![...taken, ...others].some((other) => overlap(box, other));
    });
    if (found === undefined) return null;
    taken.push(boxOf(mark, found));
    return found;
  });
}

function boxOf({ x, y, name, isBold }: Named, { dx, dy, anchor }: NamePlace): Box {
  const wide = name.length * (isBold ? LETTER.bold : LETTER.plain);
  const left = x + dx - (anchor === "middle" ? wide / 2 : anchor === "end" ? wide : 0);
  return { left, right: left + wide, top: y + dy - ABOVE_LINE, bottom: y + dy + BELOW_LINE };
}

function boxOfMark({ x, y }: Named): Box {
  return { left: x - MARK, right: x + MARK, top: y - MARK, bottom: y + MARK };
}

function isWithin(box: Box, frame: Box): boolean {
  return box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

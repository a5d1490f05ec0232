// The places of a facility's flow, as people say them.
import { filled, language, type Language } from ".";
import type { Place } from "../schematic/places";

const PLACES: Record<Place, Record<Language, string>> = {
  inlet: { en: "Inlet", de: "Eingang", uk: "Вхід" },
  well: { en: "Well", de: "Bohrloch", uk: "Свердловина" },
  separation: { en: "Separation", de: "Abscheidung", uk: "Сепарація" },
  storage: { en: "Storage", de: "Lager", uk: "Сховище" },
  pumping: { en: "Pumps", de: "Pumpen", uk: "Насоси" },
  compression: { en: "Compression", de: "Verdichtung", uk: "Компресія" },
  treatment: { en: "Quality", de: "Aufbereitung", uk: "Якість" },
  line: { en: "Line", de: "Leitung", uk: "Лінія" },
  outlet: { en: "Outlet", de: "Ausgang", uk: "Вихід" },
  area: { en: "Area", de: "Umgebung", uk: "Територія" },
};
const WORDS = {
  schematic: { en: "Flow", de: "Fließbild", uk: "Схема потоку" },
  more: { en: "{count} more, all normal or less urgent", de: "{count} weitere, normal oder weniger dringend", uk: "ще {count}, у нормі або менш термінові" },
} satisfies Record<string, Record<Language, string>>;

export function placeName(place: Place): string {
  return PLACES[place][language.value];
}

export function placeWord(word: keyof typeof WORDS, values: Record<string, string | number> = {}): string {
  return filled(WORDS[word], values);
}

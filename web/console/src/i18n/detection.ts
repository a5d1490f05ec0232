// The words about how anomalies are looked for.
import { filled, type Language } from ".";

const WORDS = {
  detection: { en: "Detection of anomalies", de: "Erkennung von Anomalien", uk: "Виявлення аномалій" },
  is_on: { en: "anomalies are told", de: "Anomalien werden gemeldet", uk: "про аномалії повідомляють" },
  isOff: { en: "scored, but not told", de: "bewertet, aber nicht gemeldet", uk: "оцінюється, але не повідомляється" },
  budget_days: { en: "One false alarm in … days", de: "Ein Fehlalarm in … Tagen", uk: "Одна хибна тривога за … днів" },
  warming_readings: { en: "Readings to learn from first", de: "Messwerte zum Anlernen", uk: "Показів для навчання" },
  physical_low: { en: "Instrument's range, from", de: "Messbereich, von", uk: "Діапазон приладу, від" },
  physical_high: { en: "Instrument's range, to", de: "Messbereich, bis", uk: "Діапазон приладу, до" },
  summary: {
    en: "One false alarm in {budget_days} days is accepted; a say after {warming_readings} readings; the instrument measures from {physical_low} to {physical_high}.",
    de: "Ein Fehlalarm in {budget_days} Tagen wird hingenommen; urteilt nach {warming_readings} Messwerten; das Gerät misst von {physical_low} bis {physical_high}.",
    uk: "Прийнятна одна хибна тривога за {budget_days} днів; судить після {warming_readings} показів; прилад вимірює від {physical_low} до {physical_high}.",
  },
  effect: {
    en: "Anomalies in the last 500 things that happened: {count}; judged false by people: {wrong}.",
    de: "Anomalien in den letzten 500 Ereignissen: {count}; von Menschen als falsch beurteilt: {wrong}.",
    uk: "Аномалій в останніх 500 подіях: {count}; визнано людьми хибними: {wrong}.",
  },
} satisfies Record<string, Record<Language, string>>;

export function detectionWord(word: keyof typeof WORDS, values: Record<string, string | number> = {}): string {
  return filled(WORDS[word], values);
}

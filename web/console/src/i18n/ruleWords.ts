// The words about alarm rules: what can be set, and what a change would do.
import { filled, type Language } from ".";

const WORDS = {
  rules: { en: "Alarm rules", de: "Alarmregeln", uk: "Правила тривог" },
  edit: { en: "Change", de: "Ändern", uk: "Змінити" },
  save: { en: "Put in force", de: "In Kraft setzen", uk: "Увести в дію" },
  takeBack: { en: "As the type has it", de: "Wie beim Typ", uk: "Як у типу" },
  rule: { en: "Rule", de: "Regel", uk: "Правило" },
  enabled: { en: "on", de: "an", uk: "увімк." },
  limit: { en: "Limit", de: "Grenze", uk: "Межа" },
  priority: { en: "Priority", de: "Priorität", uk: "Пріоритет" },
  deadband: { en: "Deadband", de: "Hysterese", uk: "Гістерезис" },
  on_delay_s: { en: "On-delay, s", de: "Kommt-Verzögerung, s", uk: "Затримка появи, с" },
  off_delay_s: { en: "Off-delay, s", de: "Geht-Verzögerung, s", uk: "Затримка зникнення, с" },
  window_s: { en: "Window, s", de: "Fenster, s", uk: "Вікно, с" },
  re_alarm_s: { en: "Tell again, s", de: "Erneut melden, s", uk: "Повторити через, с" },
  latched: { en: "latched", de: "selbsthaltend", uk: "із фіксацією" },
  source: { en: "Where it comes from", de: "Woher", uk: "Звідки" },
  message: { en: "Message", de: "Meldung", uk: "Повідомлення" },
  consequence: { en: "Consequence", de: "Folge", uk: "Наслідок" },
  response: { en: "What to do", de: "Was zu tun ist", uk: "Що робити" },
  texts: { en: "Texts", de: "Texte", uk: "Тексти" },
  profile: { en: "Profile", de: "Profil", uk: "Профіль" },
  asType: { en: "as the type has it", de: "wie beim Typ", uk: "як у типу" },
  unit: { en: "Unit", de: "Einheit", uk: "Одиниця" },
  number_format: { en: "Numbers", de: "Zahlen", uk: "Числа" },
  point: { en: "35.0", de: "35.0", uk: "35.0" },
  comma: { en: "35,0", de: "35,0", uk: "35,0" },
  whatChanges: { en: "What changes", de: "Was sich ändert", uk: "Що зміниться" },
  nothingChanges: { en: "Nothing is changed yet", de: "Noch ist nichts geändert", uk: "Ще нічого не змінено" },
  onCurve: {
    en: "On the curve above, without delays: {before} excursions so far, {after} with the change",
    de: "Auf der Kurve oben, ohne Verzögerungen: bisher {before} Überschreitungen, mit der Änderung {after}",
    uk: "На кривій вище, без затримок: досі {before} перевищень, зі зміною {after}",
  },
  inForce: { en: "In force from the next reading", de: "Gilt ab dem nächsten Messwert", uk: "Діє з наступного показу" },
  setBy: { en: "last set by {name}", de: "zuletzt gesetzt von {name}", uk: "востаннє задав(ла) {name}" },
  reason: { en: "Why", de: "Warum", uk: "Чому" },
  from: { en: "From (empty: at once)", de: "Ab (leer: sofort)", uk: "Від (порожньо: одразу)" },
  plan: { en: "Plan", de: "Planen", uk: "Запланувати" },
  isPlanned: { en: "Planned", de: "Geplant", uk: "Заплановано" },
  planned: { en: "Planned changes", de: "Geplante Änderungen", uk: "Заплановані зміни" },
  withdraw: { en: "Withdraw", de: "Zurückziehen", uk: "Відкликати" },
  isWithdrawn: { en: "Withdrawn", de: "Zurückgezogen", uk: "Відкликано" },
  willNotHold: { en: "It will not hold", de: "Gilt nicht", uk: "Не діятиме" },
  holdsFrom: { en: "from", de: "ab", uk: "від" },
  holdsUntil: { en: "until", de: "bis", uk: "до" },
  filedBy: { en: "by {name}", de: "von {name}", uk: "{name}" },
  ofType: { en: "of its type", de: "seines Typs", uk: "його типу" },
  ofThis: { en: "of this sensor", de: "dieses Sensors", uk: "цього давача" },
  history: { en: "Versions", de: "Versionen", uk: "Версії" },
  olderVersions: { en: "Older ones", de: "Ältere", uk: "Старіші" },
  nothingSet: { en: "nothing: as it is by itself", de: "nichts: wie von selbst", uk: "нічого: як саме по собі" },
  off: { en: "off", de: "aus", uk: "вимк." },
} satisfies Record<string, Record<Language, string>>;

export type RuleWord = keyof typeof WORDS;

export function ruleWord(word: RuleWord, values: Record<string, string | number> = {}): string {
  return filled(WORDS[word], values);
}

// The words about trying rules on what was: a replay, and what would calm an alarm.
import { filled, type Language } from ".";

const WORDS = {
  tryDay: { en: "Try on the last day", de: "Am letzten Tag erproben", uk: "Випробувати на останній добі" },
  tryWeek: { en: "Try on the last week", de: "An der letzten Woche erproben", uk: "Випробувати на останньому тижні" },
  trial: { en: "What the change would have done", de: "Was die Änderung bewirkt hätte", uk: "Що дала б ця зміна" },
  queued: { en: "waits for the engine", de: "wartet auf die Engine", uk: "чекає на рушій" },
  running: { en: "readings lived again: {count}", de: "nochmals durchlebte Messwerte: {count}", uk: "заново прожито показів: {count}" },
  cancelled: { en: "Cancelled", de: "Abgebrochen", uk: "Скасовано" },
  failed: { en: "Could not be tried", de: "Konnte nicht erprobt werden", uk: "Не вдалося випробувати" },
  ofOther: { en: "Tried with other settings than those in the form now", de: "Mit anderen Einstellungen erprobt als jetzt im Formular", uk: "Випробувано з іншими налаштуваннями, ніж зараз у формі" },
  nothingMoved: { en: "No alarm would have been told otherwise", de: "Kein Alarm wäre anders gemeldet worden", uk: "Жодну тривогу не було б повідомлено інакше" },
  same: { en: "the same", de: "gleich", uk: "так само" },
  added: { en: "added", de: "hinzu", uk: "додано" },
  removed: { en: "gone", de: "entfallen", uk: "зникло" },
  earlier: { en: "earlier", de: "früher", uk: "раніше" },
  later: { en: "later", de: "später", uk: "пізніше" },
  changed: { en: "changed", de: "geändert", uk: "змінено" },
  alarmsOf: { en: "Alarms of the facility", de: "Alarme der Anlage", uk: "Тривоги об'єкта" },
  before: { en: "As it was", de: "Wie es war", uk: "Як було" },
  after: { en: "With the change", de: "Mit der Änderung", uk: "Зі зміною" },
  all: { en: "All", de: "Alle", uk: "Усі" },
  ofSensor: { en: "Of this sensor", de: "Dieser Sensor", uk: "Цей давач" },
  elsewhere: {
    en: "Elsewhere in the facility: {count}, also by what was changed since then",
    de: "Sonst in der Anlage: {count}, auch durch seither Geändertes",
    uk: "Деінде на об'єкті: {count}, також через змінене відтоді",
  },
  andMore: { en: "and {count} more", de: "und {count} weitere", uk: "і ще {count}" },
  firstOnly: { en: "The server told the first {count} of {total} differences", de: "Der Server nannte die ersten {count} von {total} Unterschieden", uk: "Сервер назвав перші {count} з {total} відмінностей" },
  judged: { en: "judged from", de: "beurteilt ab", uk: "оцінено з" },
  notJudged: { en: "Nothing of this time can be lived again", de: "Nichts aus dieser Zeit kann nochmals durchlebt werden", uk: "Нічого з цього часу не можна прожити заново" },
  calm: { en: "What would calm it?", de: "Was würde ihn beruhigen?", uk: "Що його заспокоїть?" },
  calming: { en: "What would calm its alarms", de: "Was seine Alarme beruhigen würde", uk: "Що заспокоїло б його тривоги" },
  looking: { en: "The last week is lived again with deadbands and delays; this takes some seconds", de: "Die letzte Woche wird mit Hysteresen und Verzögerungen nochmals durchlebt; das dauert einige Sekunden", uk: "Останній тиждень проживається заново з гістерезисами й затримками; це триває кілька секунд" },
  atTarget: { en: "None of its alarms came too often in the last week", de: "Keiner seiner Alarme kam in der letzten Woche zu oft", uk: "Жодна з його тривог не надходила надто часто за останній тиждень" },
  now: { en: "Today", de: "Heute", uk: "Зараз" },
  proposed: { en: "Proposed", de: "Vorgeschlagen", uk: "Пропонується" },
  told: { en: "Told", de: "Gemeldet", uk: "Повідомлено" },
  chatters: { en: "it chatters", de: "er flattert", uk: "вона деренчить" },
  fleeting: { en: "Over in less than a minute", de: "Nach weniger als einer Minute vorbei", uk: "Минула менш ніж за хвилину" },
  trueEvents: { en: "What was true and stays told: {count}", de: "Wahres, das gemeldet bleibt: {count}", uk: "Справжніх подій, про які й далі повідомлять: {count}" },
  toldLater: { en: "told later by {seconds} s at most", de: "höchstens {seconds} s später gemeldet", uk: "повідомлено щонайбільше на {seconds} с пізніше" },
  untold: { en: "Excursions of which nobody would be told any more: {count}", de: "Überschreitungen, die niemand mehr gemeldet bekäme: {count}", uk: "Перевищень, про які вже ніхто не дізнався б: {count}" },
  missesTarget: { en: "It would still come too often", de: "Er käme noch immer zu oft", uk: "Вона й далі надходила б надто часто" },
  fill: { en: "Fill into the form", de: "Ins Formular übernehmen", uk: "Внести у форму" },
  outcome_at_target: { en: "It needs nothing", de: "Er braucht nichts", uk: "Нічого не потрібно" },
  outcome_all_true: { en: "All that was told was true", de: "Alles Gemeldete war wahr", uk: "Усе повідомлене було правдою" },
  outcome_nothing_helps: { en: "Every change that helps would lose or delay too much: look at the limit", de: "Jede hilfreiche Änderung verlöre oder verzögerte zu viel: die Grenze prüfen", uk: "Кожна корисна зміна втрачала б чи затримувала забагато: перевірте межу" },
  outcome_instrument: { en: "No rule mends it: look at the instrument", de: "Keine Regel behebt das: das Gerät prüfen", uk: "Жодне правило не зарадить: перевірте прилад" },
  outcome_several: { en: "It is of several sensors together: look at theirs", de: "Er ist von mehreren Sensoren: deren Alarme ansehen", uk: "Вона від кількох давачів разом: гляньте на їхні" },
  outcome_not_reproduced: { en: "The rules of today tell nothing of it", de: "Die heutigen Regeln melden nichts davon", uk: "Сьогоднішні правила про це не повідомляють" },
  outcome_too_many_readings: { en: "Too many readings in a week", de: "Zu viele Messwerte in einer Woche", uk: "Забагато показів за тиждень" },
  outcome_gone: { en: "The sensor or the rule is gone", de: "Der Sensor oder die Regel ist weg", uk: "Давача чи правила вже немає" },
} satisfies Record<string, Record<Language, string>>;

export type TrialWord = keyof typeof WORDS;

export function trialWord(word: TrialWord, values: Record<string, string | number> = {}): string {
  return filled(WORDS[word], values);
}

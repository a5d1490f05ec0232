// The words about whom alarms are told outside of the system.
import { filled, language, type Language } from ".";

const WORDS = {
  notifications: { en: "Notifications", de: "Benachrichtigungen", uk: "Сповіщення" },
  channels: { en: "Channels", de: "Kanäle", uk: "Канали" },
  channelsHint: {
    en: "How people are told: mail, Microsoft Teams, or another program. What is secret goes in sealed and is never shown again.",
    de: "Wie Menschen informiert werden: Mail, Microsoft Teams oder ein anderes Programm. Geheimes wird versiegelt und nie mehr gezeigt.",
    uk: "Як повідомляти людей: пошта, Microsoft Teams чи інша програма. Секретне запечатується і більше ніколи не показується.",
  },
  newChannel: { en: "New channel", de: "Neuer Kanal", uk: "Новий канал" },
  kind: { en: "Kind", de: "Art", uk: "Вид" },
  mail: { en: "Mail", de: "Mail", uk: "Пошта" },
  teams: { en: "Microsoft Teams", de: "Microsoft Teams", uk: "Microsoft Teams" },
  webhook: { en: "Webhook", de: "Webhook", uk: "Вебхук" },
  goesTo: { en: "To", de: "An", uk: "Кому" },
  on: { en: "on", de: "an", uk: "увімк." },
  off: { en: "off", de: "aus", uk: "вимк." },
  enabled: { en: "On: alarms are told over it", de: "An: Alarme werden darüber gemeldet", uk: "Увімкнено: ним повідомляють про тривоги" },
  acknowledge: { en: "Messages hold a link that acknowledges", de: "Nachrichten enthalten einen Link zum Quittieren", uk: "Повідомлення містять посилання для квитування" },
  address: { en: "Address (https)", de: "Adresse (https)", uk: "Адреса (https)" },
  secret: { en: "Secret that signs, 16 letters or more", de: "Geheimnis zum Signieren, ab 16 Zeichen", uk: "Секрет для підпису, від 16 символів" },
  host: { en: "Mail server", de: "Mailserver", uk: "Поштовий сервер" },
  port: { en: "Port", de: "Port", uk: "Порт" },
  security: { en: "Encryption", de: "Verschlüsselung", uk: "Шифрування" },
  user: { en: "User", de: "Benutzer", uk: "Користувач" },
  password: { en: "Password", de: "Passwort", uk: "Пароль" },
  sender: { en: "From", de: "Von", uk: "Від" },
  recipients: { en: "To, a line each", de: "An, je eine Zeile", uk: "Кому, по одному в рядку" },
  newWay: { en: "Set the address and what is secret anew", de: "Adresse und Geheimes neu setzen", uk: "Задати адресу та секретне заново" },
  test: { en: "Test", de: "Testen", uk: "Перевірити" },
  testing: { en: "Sending the test…", de: "Test wird gesendet…", uk: "Надсилається перевірка…" },
  testDelivered: { en: "The test was taken: {name}", de: "Der Test wurde angenommen: {name}", uk: "Перевірку прийнято: {name}" },
  testWaits: { en: "The test is still under way; see below what becomes of it", de: "Der Test ist noch unterwegs; unten steht, was daraus wird", uk: "Перевірка ще в дорозі; нижче видно, що з нею стане" },
  testFailed: { en: "The test was not taken: {error}", de: "Der Test wurde nicht angenommen: {error}", uk: "Перевірку не прийнято: {error}" },
  removeChannel: { en: "Remove channel {name}?", de: "Kanal {name} entfernen?", uk: "Видалити канал {name}?" },
  removeChannelText: {
    en: "Its subscriptions go with it, and what waits for it is not sent.",
    de: "Seine Abonnements gehen mit, und was auf ihn wartet, wird nicht gesendet.",
    uk: "Його підписки зникнуть разом із ним, а те, що чекає, не буде надіслано.",
  },
  subscriptions: { en: "Subscriptions", de: "Abonnements", uk: "Підписки" },
  subscriptionsHint: {
    en: "Which alarms a channel is told of, and when. One that waits some minutes is an escalation: it tells only what nobody has acknowledged by then.",
    de: "Welche Alarme ein Kanal gemeldet bekommt und wann. Eines, das Minuten wartet, ist eine Eskalation: Es meldet nur, was bis dahin niemand quittiert hat.",
    uk: "Про які тривоги й коли повідомляти каналом. Та, що чекає кілька хвилин, — ескалація: вона повідомляє лише про те, чого ніхто не заквитував.",
  },
  newSubscription: { en: "New subscription", de: "Neues Abonnement", uk: "Нова підписка" },
  channel: { en: "Channel", de: "Kanal", uk: "Канал" },
  leastPriority: { en: "From this priority on", de: "Ab dieser Priorität", uk: "Починаючи з пріоритету" },
  returned: { en: "The end of an alarm, too", de: "Auch das Ende eines Alarms", uk: "Також кінець тривоги" },
  afterMinutes: { en: "Only what is unacknowledged after … minutes (0: at once)", de: "Nur was nach … Minuten unquittiert ist (0: sofort)", uk: "Лише незаквитоване через … хвилин (0: одразу)" },
  escalates: { en: "unacknowledged after {count} min", de: "unquittiert nach {count} min", uk: "незаквитоване через {count} хв" },
  atOnce: { en: "at once", de: "sofort", uk: "одразу" },
  onDays: { en: "On", de: "An", uk: "У дні" },
  fromTime: { en: "From", de: "Von", uk: "Від" },
  toTime: { en: "Until (the same: all day)", de: "Bis (gleich: ganzer Tag)", uk: "До (те саме: цілий день)" },
  zone: { en: "Time zone", de: "Zeitzone", uk: "Часовий пояс" },
  allDay: { en: "all day", de: "ganztägig", uk: "цілодобово" },
  everyDay: { en: "every day", de: "täglich", uk: "щодня" },
  about: { en: "Of what", de: "Wovon", uk: "Про що" },
  hours: { en: "When", de: "Wann", uk: "Коли" },
  removeSubscription: { en: "Remove subscription {name}?", de: "Abonnement {name} entfernen?", uk: "Видалити підписку {name}?" },
  removeSubscriptionText: { en: "What it would have told and is in no message yet is not told.", de: "Was es melden würde und noch in keiner Nachricht steht, wird nicht gemeldet.", uk: "Про те, чого ще немає в жодному повідомленні, не повідомлять." },
  sent: { en: "What was sent", de: "Was gesendet wurde", uk: "Що надіслано" },
  sentHint: { en: "Of the last 90 days. What cannot be sent is tried again for a day.", de: "Der letzten 90 Tage. Was nicht gesendet werden kann, wird einen Tag lang wieder versucht.", uk: "За останні 90 днів. Те, що не вдалося надіслати, пробують знову протягом доби." },
  allChannels: { en: "All channels", de: "Alle Kanäle", uk: "Усі канали" },
  allStates: { en: "All states", de: "Alle Zustände", uk: "Усі стани" },
  waiting: { en: "waiting", de: "wartet", uk: "чекає" },
  delivered: { en: "delivered", de: "zugestellt", uk: "доставлено" },
  given_up: { en: "given up", de: "aufgegeben", uk: "полишено" },
  subject: { en: "Subject", de: "Betreff", uk: "Тема" },
  alarmsTold: { en: "Alarms", de: "Alarme", uk: "Тривоги" },
  attempts: { en: "Tries", de: "Versuche", uk: "Спроби" },
  error: { en: "Why not", de: "Warum nicht", uk: "Чому ні" },
  starttls: { en: "STARTTLS", de: "STARTTLS", uk: "STARTTLS" },
  tls: { en: "TLS", de: "TLS", uk: "TLS" },
  none: { en: "none", de: "keine", uk: "немає" },
} satisfies Record<string, Record<Language, string>>;

export type NotificationWord = keyof typeof WORDS;

export function noteWord(word: NotificationWord, values: Record<string, string | number> = {}): string {
  return filled(WORDS[word], values);
}

/** 1 is Monday, as in the contract. */
export function dayName(day: number): string {
  const monday = Date.UTC(2024, 0, 1);
  return new Date(monday + (day - 1) * 86_400_000).toLocaleDateString(language.value, { weekday: "short", timeZone: "UTC" });
}

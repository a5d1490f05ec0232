// What happened to an alarm, as the journal names it and as people say it.
import { language, type Language } from ".";

const TRANSITIONS: Record<string, Record<Language, string>> = {
  activated: { en: "began", de: "gekommen", uk: "почалася" },
  activated_silently: { en: "began, kept from people", de: "gekommen, nicht gemeldet", uk: "почалася без сповіщення" },
  past_excursion: { en: "was in the past", de: "war in der Vergangenheit", uk: "була в минулому" },
  late_exceedance: { en: "was, told late", de: "war, spät gemeldet", uk: "була, повідомлено пізно" },
  returned: { en: "is over", de: "gegangen", uk: "минула" },
  acknowledged: { en: "acknowledged", de: "quittiert", uk: "підтверджена" },
  assigned: { en: "assigned", de: "zugewiesen", uk: "призначена" },
  commented: { en: "commented", de: "kommentiert", uk: "прокоментована" },
  verdict: { en: "judged", de: "beurteilt", uk: "оцінена" },
  re_alarmed: { en: "told again", de: "erneut gemeldet", uk: "повідомлена знову" },
  shelved: { en: "shelved", de: "zurückgestellt", uk: "відкладена" },
  unshelved: { en: "unshelved", de: "wieder vorgelegt", uk: "повернена" },
  suppressed: { en: "suppressed by design", de: "planmäßig unterdrückt", uk: "приглушена за проєктом" },
  unsuppressed: { en: "no longer suppressed", de: "nicht mehr unterdrückt", uk: "більше не приглушена" },
  out_of_service: { en: "out of service", de: "außer Betrieb", uk: "виведена з роботи" },
  in_service: { en: "in service again", de: "wieder in Betrieb", uk: "знову в роботі" },
  reset: { en: "reset", de: "zurückgesetzt", uk: "скинута" },
};

export const TRANSITION_NAMES = Object.keys(TRANSITIONS);

/** What is new to the console stays as it is, spaced. */
export function transitionName(transition: string): string {
  return TRANSITIONS[transition]?.[language.value] ?? transition.replaceAll("_", " ");
}

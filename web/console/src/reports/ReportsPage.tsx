// What control rooms keep: the hand-over of a shift, how good the alarms are, and the list of a month.
import { PageHead } from "../components/PageHead";
import { t, type Word } from "../i18n";
import { FiguresReport } from "./FiguresReport";
import { HandoverReport } from "./HandoverReport";
import { MonthReport } from "./MonthReport";

const TABS: Record<string, Word> = { handover: "handover", figures: "alarmFigures", monthly: "monthlyList" };

export function ReportsPage({ id }: { id: string }) {
  const tabs = Object.entries(TABS).map(([name, word]) => ({ to: { page: "reports" as const, id: name }, name: t(word), isHere: name === id }));
  return (
    <main class="desk">
      <PageHead title={t("reports")} tabs={tabs} />
      <Report id={id} />
    </main>
  );
}

function Report({ id }: { id: string }) {
  switch (id) {
    case "handover":
      return <HandoverReport />;
    case "figures":
      return <FiguresReport />;
    case "monthly":
      return <MonthReport />;
    default:
      return <p class="empty">{t("notFound")}</p>;
  }
}

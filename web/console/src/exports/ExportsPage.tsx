// Stored data as files: what to take, and how far those that were asked for are.
import { useEffect } from "preact/hooks";
import { get } from "../api/http";
import type { ExportJob } from "../api/pageTypes";
import { PageHead } from "../components/PageHead";
import { t } from "../i18n";
import { useAsked } from "../store/asked";
import { ExportForm } from "./ExportForm";
import { Jobs } from "./Jobs";

const LOOK_MS = { running: 1_000, still: 15_000 };

export function ExportsPage() {
  const { found, problem, isLoading, again } = useAsked((signal) => get<ExportJob[]>("/export-jobs", {}, signal), []);
  const isRunning = found?.some((job) => job.state === "running") ?? false;
  useEffect(() => {
    if (isLoading) return;
    const timer = window.setTimeout(again, LOOK_MS[isRunning ? "running" : "still"]);
    return () => window.clearTimeout(timer);
  }, [isRunning, isLoading]);
  return (
    <main class="desk">
      <PageHead title={t("exports")} />
      <ExportForm begun={again} />
      <p class="problem">{problem}</p>
      {found !== null && <Jobs jobs={found} changed={again} />}
    </main>
  );
}

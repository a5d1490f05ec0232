// A report once more, as a table for a spreadsheet, and on paper (or as PDF, which browsers print to).
import { withQuery, type Query } from "../api/http";
import { t } from "../i18n";
import { download } from "../store/download";

interface Props {
  /** null: there is no table of what is shown. */
  csv: { address: string; query: Query; name: string } | null;
  again: () => void;
}

export function ReportActs({ csv, again }: Props) {
  return (
    <span class="desk-acts">
      <button type="button" onClick={again}>
        {t("refresh")}
      </button>
      {csv !== null && (
        <button type="button" onClick={() => void download(withQuery(csv.address, csv.query), "text/csv", `${csv.name}.csv`)}>
          CSV
        </button>
      )}
      <button type="button" class="primary" onClick={() => window.print()}>
        {t("print")}
      </button>
    </span>
  );
}

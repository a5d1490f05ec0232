// Keys of programs: made for named facilities, shown once, ended at once.
import { useState } from "preact/hooks";
import { path, remove } from "../api/http";
import type { ApiKey, ApiKeyPage } from "../api/pageTypes";
import { Table, type Column } from "../components/Table";
import { Time } from "../components/Time";
import { t } from "../i18n";
import { tried } from "../store/asked";
import { names } from "../store/plant";
import { Confirm } from "./Confirm";
import { KeyDialog } from "./KeyDialog";
import { Pager, usePages } from "./pages";

const NAMED_MAX = 3;

export function KeysPart() {
  const paged = usePages<ApiKeyPage>("/api-keys");
  const [isNew, setNew] = useState(false);
  const [ending, setEnding] = useState<ApiKey | null>(null);
  const columns: Column<ApiKey>[] = [
    { label: t("keyName"), kind: "wide", cell: (key) => <b>{key.name}</b> },
    { label: t("keyId"), cell: (key) => <code>gik_{key.public_id}…</code> },
    { label: t("state"), cell: (key) => <span class={key.status === "Active" ? "" : "is-soft"}>{t(`key${key.status}`)}</span> },
    { label: t("permissions"), cell: grantsOf },
    { label: t("madeBy"), cell: (key) => key.created_by_name },
    { label: t("until"), cell: (key) => <Time at={key.revoked_at ?? key.expires_at} withDay /> },
    { label: t("lastUsed"), cell: (key) => key.last_used_at !== null && <Time at={key.last_used_at} withDay /> },
    {
      label: "",
      kind: "acts",
      cell: (key) =>
        key.status === "Active" && (
          <button type="button" onClick={() => setEnding(key)}>
            {t("revoke")}
          </button>
        ),
    },
  ];
  return (
    <section class="desk-part">
      <p class="desk-bar">
        <button type="button" class="primary" onClick={() => setNew(true)}>
          {t("newKey")}
        </button>
      </p>
      {paged.found !== null && <Table label={t("apiKeys")} columns={columns} rows={paged.found.api_keys} keyOf={(key) => key.id} empty={t("none")} />}
      <Pager of={paged} />
      {isNew && <KeyDialog close={() => setNew(false)} made={paged.again} />}
      {ending !== null && (
        <Confirm
          title={t("revokeKey", { name: ending.name })}
          text={t("revokeKeyText")}
          act={t("revoke")}
          onClose={() => setEnding(null)}
          onYes={() => void tried(() => remove(path("api-keys", String(ending.id)))).then(paged.again)}
        />
      )}
    </section>
  );
}

function grantsOf(key: ApiKey) {
  const said = key.facilities.map((grant) => `${names.facility(grant.facility_id) ?? grant.facility_id}: ${t(grant.permission_type === "Edit" ? "mayEdit" : "mayView")}`);
  return <span title={said.join("\n")}>{said.length > NAMED_MAX ? t("chosenCount", { count: said.length }) : said.join(", ")}</span>;
}

// Facilities and sensors: out of use, with their history, or gone for good.
import { useState } from "preact/hooks";
import { path, post, remove } from "../api/http";
import { Table, type Column } from "../components/Table";
import { Time } from "../components/Time";
import { t } from "../i18n";
import { typeName } from "../i18n/types";
import { sensorLabel } from "../labels";
import { addressOf } from "../route";
import { tried } from "../store/asked";
import { facilities, loadPlant, sensorsOf } from "../store/plant";
import { say } from "../store/toasts";
import { Confirm } from "./Confirm";

interface Thing {
  id: string;
  kind: "facility" | "sensor";
  name: string;
  type: string;
  retiredAt: string | null;
}

export function PlacesPart() {
  const [chosen, setChosen] = useState("");
  const places = [...facilities.value.values()];
  const things = places.map((one): Thing => ({ id: one.id, kind: "facility", name: one.name, type: one.type, retiredAt: one.retired_at ?? null }));
  const instruments = (sensorsOf.value.get(chosen) ?? []).map((one): Thing => ({ id: one.id, kind: "sensor", name: sensorLabel(one) ?? one.id, type: one.type, retiredAt: one.retired_at ?? null }));
  return (
    <>
      <p class="remark">{t("outOfUseHint")}</p>
      <Things title={t("facilities")} things={things} />
      <p class="desk-bar">
        <select aria-label={t("facility")} value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}>
          <option value="">{t("sensorsOfFacility")}</option>
          {places.map((one) => (
            <option key={one.id} value={one.id}>
              {one.name}
            </option>
          ))}
        </select>
      </p>
      {chosen !== "" && <Things title={t("sensors")} things={instruments} />}
    </>
  );
}

function Things({ title, things }: { title: string; things: readonly Thing[] }) {
  const [open, setOpen] = useState<{ isForGood: boolean; of: Thing } | null>(null);
  const carryOut = async ({ isForGood, of }: { isForGood: boolean; of: Thing }) => {
    const plural = of.kind === "facility" ? "facilities" : "sensors";
    const isDone = await tried(() => (isForGood ? remove(path(plural, of.id)) : post(path("retire", of.kind, of.id), {})));
    if (!isDone) return;
    say(t(isForGood ? "isRemoved" : "isRetired", { name: of.name }));
    await loadPlant().catch(() => undefined); // away: the next look shows it
  };
  const columns: Column<Thing>[] = [
    { label: t("name"), kind: "wide", cell: (one) => <a href={addressOf({ page: one.kind, id: one.id })}>{one.name}</a> },
    { label: t("type"), cell: (one) => typeName(one.type) },
    { label: t("outOfUseSince"), cell: (one) => one.retiredAt !== null && <Time at={one.retiredAt} withDay /> },
    {
      label: "",
      kind: "acts",
      cell: (one) => (
        <>
          {one.retiredAt === null && (
            <button type="button" onClick={() => setOpen({ isForGood: false, of: one })}>
              {t("retire")}
            </button>
          )}
          <button type="button" onClick={() => setOpen({ isForGood: true, of: one })}>
            {t("removeForGood")}
          </button>
        </>
      ),
    },
  ];
  return (
    <section class="desk-part">
      <h2>
        {title} <small>{things.length}</small>
      </h2>
      <Table label={title} columns={columns} rows={things} keyOf={(one) => one.id} empty={t("none")} />
      {open !== null && (
        <Confirm
          title={t(open.isForGood ? "removeTitle" : "retireTitle", { name: open.of.name })}
          text={t(open.isForGood ? "removeText" : "retireText")}
          act={t(open.isForGood ? "removeForGood" : "retire")}
          {...(open.isForGood && { typed: open.of.name })}
          onClose={() => setOpen(null)}
          onYes={() => void carryOut(open)}
        />
      )}
    </section>
  );
}

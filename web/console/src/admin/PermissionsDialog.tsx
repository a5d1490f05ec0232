// Which facilities a user may view or edit; each change holds at once.
import { useState } from "preact/hooks";
import { get, path, post, remove } from "../api/http";
import type { Permission } from "../api/pageTypes";
import type { User } from "../api/types";
import { Dialog } from "../components/Dialog";
import { t } from "../i18n";
import { tried, useAsked } from "../store/asked";
import { facilities, names } from "../store/plant";

type Kind = Permission["permission_type"];

export function PermissionsDialog({ user, close }: { user: User; close: () => void }) {
  const { found, problem, again } = useAsked((signal) => get<Permission[]>("/permissions", { user_id: user.id }, signal), [user.id]);
  const [chosen, setChosen] = useState("");
  const given = new Set(found?.map((one) => one.facility_id));
  const left = [...facilities.value.values()].filter((facility) => !given.has(facility.id));
  const facilityId = left.some((facility) => facility.id === chosen) ? chosen : (left[0]?.id ?? "");
  const grant = (id: string, kind: Kind) => void tried(() => post("/permissions", { user_id: user.id, facility_id: id, permission_type: kind })).then(again);
  return (
    <Dialog title={t("permissionsOf", { name: user.username })} onClose={close}>
      <p class="problem">{problem}</p>
      <ul class="grants">
        {found?.map((one) => (
          <li key={one.id}>
            <span>{names.facility(one.facility_id) ?? one.facility_id}</span>
            <KindChoice kind={one.permission_type} change={(kind) => grant(one.facility_id, kind)} />
            <button type="button" onClick={() => void tried(() => remove(path("permissions", String(one.id)))).then(again)}>
              {t("revoke")}
            </button>
          </li>
        ))}
        {found?.length === 0 && <li class="nothing">{t("noPermissions")}</li>}
      </ul>
      {left.length > 0 && (
        <p class="grant-new">
          <select aria-label={t("facility")} value={facilityId} onChange={(event) => setChosen(event.currentTarget.value)}>
            {left.map((facility) => (
              <option key={facility.id} value={facility.id}>
                {facility.name}
              </option>
            ))}
          </select>
          <button type="button" onClick={() => grant(facilityId, "View")}>
            {t("mayView")}
          </button>
          <button type="button" onClick={() => grant(facilityId, "Edit")}>
            {t("mayEdit")}
          </button>
        </p>
      )}
      <div class="dialog-acts">
        <button type="button" class="primary" onClick={close}>
          {t("close")}
        </button>
      </div>
    </Dialog>
  );
}

function KindChoice({ kind, change }: { kind: Kind; change: (kind: Kind) => void }) {
  return (
    <select aria-label={t("permissions")} value={kind} onChange={(event) => change(event.currentTarget.value as Kind)}>
      <option value="View">{t("mayView")}</option>
      <option value="Edit">{t("mayEdit")}</option>
    </select>
  );
}

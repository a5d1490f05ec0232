// Who may sign in, and what each may see and do.
import { useState } from "preact/hooks";
import { path, remove } from "../api/http";
import type { UserPage } from "../api/pageTypes";
import type { User } from "../api/types";
import { Table, type Column } from "../components/Table";
import { Time } from "../components/Time";
import { t } from "../i18n";
import { tried } from "../store/asked";
import { Confirm } from "./Confirm";
import { Pager, usePages } from "./pages";
import { PermissionsDialog } from "./PermissionsDialog";
import { UserDialog } from "./UserDialog";

type Open = { what: "new" } | { what: "change" | "permissions" | "remove"; user: User };

export function UsersPart() {
  const paged = usePages<UserPage>("/users");
  const [open, setOpen] = useState<Open | null>(null);
  const close = () => setOpen(null);
  const columns: Column<User>[] = [
    { label: t("accountName"), cell: (one) => <b>{one.username}</b> },
    { label: t("mailAddress"), kind: "wide", cell: (one) => one.email },
    { label: t("role"), cell: (one) => t(one.role === "Admin" ? "roleAdmin" : "roleUser") },
    { label: t("since"), cell: (one) => <Time at={one.created_at} withDay /> },
    { label: t("lastSignIn"), cell: (one) => one.last_login !== null && <Time at={one.last_login} withDay /> },
    {
      label: "",
      kind: "acts",
      cell: (one) => (
        <>
          <button type="button" disabled={one.role === "Admin"} title={one.role === "Admin" ? t("adminsMayAll") : ""} onClick={() => setOpen({ what: "permissions", user: one })}>
            {t("permissions")}
          </button>
          <button type="button" onClick={() => setOpen({ what: "change", user: one })}>
            {t("change")}
          </button>
          <button type="button" onClick={() => setOpen({ what: "remove", user: one })}>
            {t("remove")}
          </button>
        </>
      ),
    },
  ];
  return (
    <section class="desk-part">
      <p class="desk-bar">
        <button type="button" class="primary" onClick={() => setOpen({ what: "new" })}>
          {t("newUser")}
        </button>
      </p>
      {paged.found !== null && <Table label={t("users")} columns={columns} rows={paged.found.users} keyOf={(one) => one.id} empty={t("none")} />}
      <Pager of={paged} />
      {(open?.what === "new" || open?.what === "change") && <UserDialog user={open.what === "new" ? null : open.user} close={close} changed={paged.again} />}
      {open?.what === "permissions" && <PermissionsDialog user={open.user} close={close} />}
      {open?.what === "remove" && (
        <Confirm
          title={t("removeUser", { name: open.user.username })}
          text={t("removeUserText")}
          act={t("remove")}
          onClose={close}
          onYes={() => void tried(() => remove(path("users", String(open.user.id)))).then(paged.again)}
        />
      )}
    </section>
  );
}

// For Admins: who may do what, what was changed, what found no place, what is out of use, how the system is.
import { PageHead } from "../components/PageHead";
import { t, type Word } from "../i18n";
import { user } from "../session";
import { AuditPart } from "./AuditPart";
import { IntakePart } from "./IntakePart";
import { KeysPart } from "./KeysPart";
import { PlacesPart } from "./PlacesPart";
import { SystemPart } from "./SystemPart";
import { UsersPart } from "./UsersPart";

const TABS: Record<string, Word> = {
  users: "users",
  keys: "apiKeys",
  facilities: "outOfUse",
  intake: "intake",
  audit: "audit",
  system: "system",
};

export function AdminPage({ id }: { id: string }) {
  if (user.value === null) return <p class="empty">{t("loading")}</p>;
  if (user.value.role !== "Admin") return <p class="empty">{t("notFound")}</p>;
  const tabs = Object.entries(TABS).map(([name, word]) => ({ to: { page: "admin" as const, id: name }, name: t(word), isHere: name === id }));
  return (
    <main class="desk admin">
      <PageHead title={t("administration")} tabs={tabs} />
      <Part id={id} />
    </main>
  );
}

function Part({ id }: { id: string }) {
  switch (id) {
    case "users":
      return <UsersPart />;
    case "keys":
      return <KeysPart />;
    case "facilities":
      return <PlacesPart />;
    case "intake":
      return <IntakePart />;
    case "audit":
      return <AuditPart />;
    case "system":
      return <SystemPart />;
    default:
      return <p class="empty">{t("notFound")}</p>;
  }
}

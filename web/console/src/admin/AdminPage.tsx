// For Admins: who may do what, what was changed, what found no place, what is out of use, how the system is.
import { PageHead } from "../components/PageHead";
import { t, type Word } from "../i18n";
import { noteWord } from "../i18n/notificationWords";
import { user } from "../session";
import { AuditPart } from "./AuditPart";
import { IntakePart } from "./IntakePart";
import { KeysPart } from "./KeysPart";
import { NotificationsPart } from "./notifications/NotificationsPart";
import { PlacesPart } from "./PlacesPart";
import { SystemPart } from "./SystemPart";
import { UsersPart } from "./UsersPart";

const word = (one: Word) => () => t(one);
const TABS: Record<string, () => string> = {
  users: word("users"),
  keys: word("apiKeys"),
  notifications: () => noteWord("notifications"),
  facilities: word("outOfUse"),
  intake: word("intake"),
  audit: word("audit"),
  system: word("system"),
};

export function AdminPage({ id }: { id: string }) {
  if (user.value === null) return <p class="empty">{t("loading")}</p>;
  if (user.value.role !== "Admin") return <p class="empty">{t("notFound")}</p>;
  const tabs = Object.entries(TABS).map(([name, title]) => ({ to: { page: "admin" as const, id: name }, name: title(), isHere: name === id }));
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
    case "notifications":
      return <NotificationsPart />;
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

// What is on the screen: signing in, or the bar with the page that the address names.
import { useEffect } from "preact/hooks";
import { AdminPage } from "./admin/AdminPage";
import { get } from "./api/http";
import type { User } from "./api/types";
import { Bar } from "./components/Bar";
import { CommandDialog } from "./components/CommandDialog";
import { Help } from "./components/Help";
import { LineLost } from "./components/LineLost";
import { Toasts } from "./components/Toasts";
import { ExportsPage } from "./exports/ExportsPage";
import { HistoryPage } from "./history/HistoryPage";
import { ReportsPage } from "./reports/ReportsPage";
import { route } from "./route";
import { tokens, user } from "./session";
import { follow, forget } from "./store/alarms";
import { ignoreHealth, watchHealth } from "./store/health";
import { followPlant, ignorePlant } from "./store/plant";
import { AlarmsPage } from "./views/AlarmsPage";
import { FacilityPage } from "./views/FacilityPage";
import { Overview } from "./views/Overview";
import { SensorPage } from "./views/SensorPage";
import { SignIn } from "./views/SignIn";

export function App() {
  return tokens.value === null ? <SignIn /> : <Console />;
}

function Console() {
  useEffect(() => {
    void get<User>("/users/me")
      .then((found) => (user.value = found))
      .catch(() => undefined); // away: the bar says so
    followPlant();
    follow();
    watchHealth();
    return () => {
      forget();
      ignorePlant();
      ignoreHealth();
    };
  }, []);
  return (
    <>
      <Bar />
      <LineLost />
      <Page />
      <CommandDialog />
      <Help />
      <Toasts />
    </>
  );
}

function Page() {
  const shown = route.value;
  switch (shown.page) {
    case "overview":
      return <Overview />;
    case "alarms":
      return <AlarmsPage />;
    case "reports":
      return <ReportsPage key={shown.id} id={shown.id} />;
    case "history":
      return <HistoryPage />;
    case "exports":
      return <ExportsPage />;
    case "admin":
      return <AdminPage key={shown.id} id={shown.id} />;
    case "facility":
      return <FacilityPage key={shown.id} id={shown.id} />;
    case "sensor":
      return <SensorPage key={shown.id} id={shown.id} />;
  }
}

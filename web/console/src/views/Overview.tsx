// What is wrong where: the map and the facilities, those that need somebody first.
import { FacilityCard } from "../components/FacilityCard";
import { FacilityMap } from "../components/FacilityMap";
import { IncidentStrip } from "../components/IncidentStrip";
import { Lately } from "../components/Lately";
import { t } from "../i18n";
import { isKnown } from "../store/alarms";
import { standings } from "../store/standing";

const CARDS_MAX = 60;

export function Overview() {
  const found = standings.value;
  if (!isKnown.value) return <p class="empty">{t("loading")}</p>;
  return (
    <main class="overview">
      <h1 class="unseen">{t("overview")}</h1>
      <IncidentStrip />
      <section class="map-frame" aria-label={t("map")}>
        <FacilityMap standings={found} />
      </section>
      <section class="cards" aria-label={t("facilities")}>
        {found.slice(0, CARDS_MAX).map((of) => (
          <FacilityCard key={of.facility.id} of={of} />
        ))}
      </section>
      <Lately />
    </main>
  );
}

// What the contract calls sensors and facilities, as people say it. English is the contract's own word, spaced.
import { language } from ".";

interface Said {
  de: string;
  uk: string;
}

const TYPES: Record<string, Said> = {
  Temperature: { de: "Temperatur", uk: "Температура" },
  Humidity: { de: "Feuchte", uk: "Вологість" },
  Pressure: { de: "Druck", uk: "Тиск" },
  Flow: { de: "Durchfluss", uk: "Витрата" },
  Volume: { de: "Volumen", uk: "Об’єм" },
  GasComposition: { de: "Gaszusammensetzung", uk: "Склад газу" },
  LiquidComposition: { de: "Flüssigkeitszusammensetzung", uk: "Склад рідини" },
  Vibration: { de: "Vibration", uk: "Вібрація" },
  Noise: { de: "Lärm", uk: "Шум" },
  Corrosion: { de: "Korrosion", uk: "Корозія" },
  GasDetection: { de: "Gasmelder", uk: "Виявлення газу" },
  FlameDetection: { de: "Flammenmelder", uk: "Виявлення полум’я" },
  LevelIndicator: { de: "Füllstand", uk: "Рівень" },
  ValveStatus: { de: "Ventilzustand", uk: "Стан клапана" },
  PumpStatus: { de: "Pumpenzustand", uk: "Стан насоса" },
  CompressorStatus: { de: "Verdichterzustand", uk: "Стан компресора" },
  PowerConsumption: { de: "Leistungsaufnahme", uk: "Споживання енергії" },
  WaterContent: { de: "Wassergehalt", uk: "Вміст води" },
  OxygenContent: { de: "Sauerstoffgehalt", uk: "Вміст кисню" },
  HydrogenSulfideContent: { de: "Schwefelwasserstoffgehalt", uk: "Вміст сірководню" },
  CarbonDioxideContent: { de: "Kohlendioxidgehalt", uk: "Вміст вуглекислого газу" },
  ParticulateMatter: { de: "Feinstaub", uk: "Тверді частинки" },
  LeakDetection: { de: "Leckmelder", uk: "Виявлення витоку" },
  DrillingRig: { de: "Bohranlage", uk: "Бурова установка" },
  Pipelines: { de: "Pipelines", uk: "Трубопроводи" },
  TankFarm: { de: "Tanklager", uk: "Резервуарний парк" },
  UndergroundStorage: { de: "Untertagespeicher", uk: "Підземне сховище" },
  ProcessingPlant: { de: "Aufbereitungsanlage", uk: "Переробний завод" },
  ImportTerminal: { de: "Importterminal", uk: "Імпортний термінал" },
  ExportTerminal: { de: "Exportterminal", uk: "Експортний термінал" },
};

export function typeName(type: string): string {
  const said = TYPES[type];
  return said === undefined || language.value === "en" ? spaced(type) : said[language.value];
}

function spaced(type: string): string {
  return type.replace(/([a-z])([A-Z])/g, (_, end: string, begin: string) => `${end} ${begin.toLowerCase()}`);
}

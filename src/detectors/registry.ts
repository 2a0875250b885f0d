import { alibiDetect } from "./alibi-detect.ts";
import type { Detector } from "./detector.ts";
import { evidently } from "./evidently/evidently.ts";
import { greatExpectations } from "./great-expectations.ts";
import { nannyml } from "./nannyml.ts";
import { sagemaker } from "./sagemaker.ts";

/** The detectors whose reports are understood. To add one, write one file and add one line here. */
export const DETECTORS: readonly Detector[] = [evidently, nannyml, alibiDetect, sagemaker, greatExpectations];

"Public names by module, for lazy loading and for editors. Written by `make prepare`: do not edit."
__version__: str
from . import files as files
from .files import (
    locked as locked, read_json as read_json, remove_parts as remove_parts, replacing as replacing,
    write_json as write_json,
)
from . import rle as rle
from .rle import (
    rle_area as rle_area, rle_decode as rle_decode, rle_encode as rle_encode, rle_faults as rle_faults,
    rle_runs as rle_runs,
)
from . import defects as defects
from .defects import (
    CRACK as CRACK, DefectClass as DefectClass, DefectType as DefectType, INCLUSION as INCLUSION, NEU_SEG as NEU_SEG,
    PATCH as PATCH, PATTERNS as PATTERNS, SEVERSTAL as SEVERSTAL, TYPES as TYPES, class_dicts as class_dicts,
    classes_from_dicts as classes_from_dicts, classes_from_names as classes_from_names,
)
from . import overlay as overlay
from .overlay import (
    OUTCOMES as OUTCOMES, compare_masks as compare_masks, contours as contours, outcome_masks as outcome_masks,
    overlay_masks as overlay_masks, pattern_mask as pattern_mask, to_rgb as to_rgb,
)
from . import images as images
from .images import (
    ENDINGS as ENDINGS, clahe as clahe, flat_field as flat_field, grey_level as grey_level, image_path as image_path,
    image_size as image_size, list_images as list_images, read_image as read_image, standardise as standardise,
    write_image as write_image,
)
from . import synth as synth
from .synth import (
    CLEAR as CLEAR, DEFECTS as DEFECTS, FAINT as FAINT, Mark as Mark, REAL as REAL, STYLES as STYLES, Style as Style,
    background as background, even_classes as even_classes, inclusion as inclusion, patch as patch,
    real_classes as real_classes, scratch as scratch, smooth_noise as smooth_noise, strip_plan as strip_plan,
    synth_set as synth_set, synth_strip as synth_strip, thin_crack as thin_crack,
)
from . import regions as regions
from .regions import (
    COLUMNS as COLUMNS, length_and_width as length_and_width, region_table as region_table,
    remove_small as remove_small,
)
from . import metrics as metrics
from .metrics import (
    RunningCounts as RunningCounts, counts as counts, dice as dice, iou as iou, precision as precision,
    recall as recall,
)
from . import decision as decision
from .decision import (
    AREAS as AREAS, Decision as Decision, THRESHOLDS as THRESHOLDS, area_counts as area_counts,
    best_decision as best_decision, choose_decision as choose_decision, decide as decide,
    decision_scores as decision_scores, default_decision as default_decision, plateau_middle as plateau_middle,
    quantise as quantise, read_decision as read_decision, threshold_counts as threshold_counts,
    write_decision as write_decision,
)
from . import catalog as catalog
from .catalog import (
    Catalog as Catalog, balance as balance, co_occurrence as co_occurrence, download_severstal as download_severstal,
    read_severstal as read_severstal, region_areas as region_areas, write_labels as write_labels,
    write_submission as write_submission,
)
from . import evaluate as evaluate
from .evaluate import (
    SUMMARY as SUMMARY, add_scores as add_scores, all_empty as all_empty, count_table as count_table,
    score_catalog as score_catalog, summary as summary,
)
from . import coco as coco
from .coco import (
    read_coco as read_coco, rle_from_coco as rle_from_coco, rle_to_coco as rle_to_coco, write_coco as write_coco,
)
from . import layouts as layouts
from .layouts import (
    read_catalog as read_catalog, read_class_folders as read_class_folders, read_label_maps as read_label_maps,
    read_mvtec as read_mvtec,
)
from . import intervals as intervals
from .intervals import (
    Comparison as Comparison, Interval as Interval, SeedIntervals as SeedIntervals, bootstrap as bootstrap,
    bootstrap_seeds as bootstrap_seeds, group_sums as group_sums, mean_of as mean_of, mean_parts as mean_parts,
    paired_test as paired_test,
)
from . import detection as detection
from .detection import (
    false_regions as false_regions, missed_regions as missed_regions, panoptic_quality as panoptic_quality,
    recognition_quality as recognition_quality, region_counts as region_counts, region_crop as region_crop,
    region_outcomes as region_outcomes, region_parts as region_parts, region_recall as region_recall,
    segmentation_quality as segmentation_quality,
)
from . import borders as borders
from .borders import (
    border_parts as border_parts, boundary_band as boundary_band, boundary_iou as boundary_iou,
    boundary_parts as boundary_parts, centre_line as centre_line, cldice as cldice, cldice_parts as cldice_parts,
    mask_rim as mask_rim, surface_dice as surface_dice, surface_parts as surface_parts,
)
from . import protocols as protocols
from .protocols import (
    AVERAGES as AVERAGES, Average as Average, PRESETS as PRESETS, PROTOCOLS as PROTOCOLS, Protocol as Protocol,
    ScoreParts as ScoreParts, empty_answer as empty_answer, empty_parts as empty_parts, image_parts as image_parts,
    join_parts as join_parts, one_label as one_label, protocol_lines as protocol_lines,
    protocol_rules as protocol_rules, protocol_scores as protocol_scores, protocol_table as protocol_table,
    protocol_view as protocol_view, score_parts as score_parts,
)
from . import localisation as localisation
from .localisation import (
    Localisation as Localisation, au_pro as au_pro, average_precision as average_precision,
    localisation_parts as localisation_parts, localisation_table as localisation_table,
    per_region_overlap as per_region_overlap, pixel_auroc as pixel_auroc, pixel_parts as pixel_parts,
    pro_curve as pro_curve, sum_parts as sum_parts,
)
from . import calibration as calibration
from .calibration import (
    STATED as STATED, calibration_table as calibration_table, curve_area as curve_area, dice_curve as dice_curve,
    dice_parts as dice_parts, expected_calibration_error as expected_calibration_error,
    fit_temperature as fit_temperature, plateau as plateau, reliability_table as reliability_table,
    set_dice_curve as set_dice_curve, temper as temper, temper_parts as temper_parts,
    threshold_table as threshold_table,
)
from . import screening as screening
from .screening import (
    choose_gate as choose_gate, escape_rate as escape_rate, gate_parts as gate_parts, gate_score as gate_score,
    gate_table as gate_table, image_auroc as image_auroc, image_score as image_score,
    overkill_at_recall as overkill_at_recall, overkill_rate as overkill_rate,
    recall_at_overkill as recall_at_overkill, screen_catalog as screen_catalog, screening_summary as screening_summary,
)
from . import audit as audit
from .audit import (
    COPY as COPY, PAIRS as PAIRS, SIDE as SIDE, TRANSFORMS as TRANSFORMS, candidates as candidates,
    compare as compare, copy_groups as copy_groups, even_contrast as even_contrast, fingerprint as fingerprint,
    fingerprints as fingerprints, inverse as inverse, near_copies as near_copies, pairs_beside as pairs_beside,
    read_pairs as read_pairs, transformed as transformed, whiten as whiten, without_common as without_common,
    write_pairs as write_pairs,
)
from . import folds as folds
from .folds import (
    fold_balance as fold_balance, grouped_folds as grouped_folds, grouped_holdout as grouped_holdout,
    leak_summary as leak_summary, leaks as leaks, moved_images as moved_images, part_by_folds as part_by_folds,
    read_folds as read_folds, read_groups as read_groups, repair_split as repair_split,
    split_by_folder as split_by_folder, write_folds as write_folds, write_groups as write_groups,
)
from . import agreement as agreement
from .agreement import (
    SUSPICIONS as SUSPICIONS, agreement_summary as agreement_summary, copied_answer as copied_answer,
    disagreements as disagreements, label_agreement as label_agreement, suspicious_labels as suspicious_labels,
)
from . import scorecard as scorecard
from .scorecard import (
    border_table as border_table, card_lines as card_lines, probability_tables as probability_tables,
    read_answers as read_answers, region_table_by_class as region_table_by_class, score_card as score_card,
    write_card as write_card,
)
from . import sweep as sweep
from .sweep import (
    Sweep as Sweep, area_places as area_places, share_interval as share_interval, sweep_decision as sweep_decision,
    sweep_dice as sweep_dice, sweep_parts as sweep_parts, sweep_rejected as sweep_rejected,
    sweep_screening as sweep_screening, sweep_trade as sweep_trade, threshold_sweep as threshold_sweep,
    trials_factor as trials_factor,
)
from . import mix as mix
from .mix import (
    clean_parts as clean_parts, clean_windows as clean_windows, good_windows as good_windows, read_clean as read_clean,
)
from . import defect_types as defect_types
from .defect_types import (
    TYPE_CLASSES as TYPE_CLASSES, by_type as by_type, score_types as score_types,
)
from . import dataset as dataset
from .dataset import (
    Collate as Collate, Crops as Crops, Images as Images, Mixture as Mixture, STEPS as STEPS, Strips as Strips,
    augmentation as augmentation, class_weights as class_weights, crop_corner as crop_corner,
    crop_loader as crop_loader, known_steps as known_steps, prepare as prepare, random_pixel as random_pixel,
    strip_loader as strip_loader,
)
from . import unet as unet
from .unet import (
    DoubleConv as DoubleConv, UNet as UNet, Up as Up, conv_norm as conv_norm, initialise as initialise,
    level_names as level_names, pad_to_multiple as pad_to_multiple, walk as walk,
)
from . import lite_unet as lite_unet
from .lite_unet import (
    InvertedResidual as InvertedResidual, LightUp as LightUp, LiteUNet as LiteUNet, STAGES as STAGES,
    depthwise as depthwise, hold_depthwise as hold_depthwise, imagenet_weights as imagenet_weights, stage as stage,
    start_from_imagenet as start_from_imagenet,
)
from . import losses as losses
from .losses import (
    bce as bce, bce_dice as bce_dice, focal as focal, soft_cldice as soft_cldice, soft_dice as soft_dice,
    soft_skeleton as soft_skeleton, tversky as tversky, weighted_sum as weighted_sum,
)
from . import train as train
from .train import (
    TrainConfig as TrainConfig, best_precision as best_precision, ema_average as ema_average, fit as fit,
    in_main_process as in_main_process, load_checkpoint as load_checkpoint, process_state as process_state,
    save_checkpoint as save_checkpoint, save_weights as save_weights, tensor_counts as tensor_counts,
    train_epoch as train_epoch, validate as validate,
)
from . import predict as predict
from .predict import (
    Model as Model, NETWORKS as NETWORKS, PREDICTION as PREDICTION, WEIGHTS as WEIGHTS, folded as folded,
    forward as forward, gathered as gathered, load_model as load_model, model_card as model_card,
    model_config as model_config, model_digest as model_digest, model_folder as model_folder,
    predict_folder as predict_folder, predict_image as predict_image, probabilities as probabilities,
    read_probabilities as read_probabilities, rows_of as rows_of, save_model as save_model,
    shipped_models as shipped_models, tile_starts as tile_starts, tile_weight as tile_weight, turned as turned,
    validation_pairs as validation_pairs, with_classes as with_classes, write_probabilities as write_probabilities,
)
from . import run as run
from .run import (
    PROTOCOL as PROTOCOL, catalog_digest as catalog_digest, copied_floor as copied_floor,
    crossed_decisions as crossed_decisions, finish_run as finish_run, found_catalog as found_catalog,
    loss_name as loss_name, score_together as score_together, train_run as train_run,
)
from . import plots as plots
from .plots import (
    STYLE as STYLE, backdrop as backdrop, plot_dice_curves as plot_dice_curves, plot_difference as plot_difference,
    plot_missed as plot_missed, plot_pairs as plot_pairs, plot_pro as plot_pro, plot_protocols as plot_protocols,
    plot_region_recall as plot_region_recall, plot_reliability as plot_reliability, plot_screening as plot_screening,
    plot_suspicious as plot_suspicious,
)
from . import report as report
from .report import (
    HATCHES as HATCHES, LiveCurve as LiveCurve, MEASURES as MEASURES, SCORES as SCORES, answers_html as answers_html,
    best_images as best_images, class_legend as class_legend, compared as compared, image_scores as image_scores,
    legend_html as legend_html, picture_bytes as picture_bytes, plot_answers as plot_answers, plot_area as plot_area,
    plot_balance as plot_balance, plot_dice_iou as plot_dice_iou, plot_gallery as plot_gallery,
    plot_histogram as plot_histogram, plot_history as plot_history, plot_score_area as plot_score_area,
    plot_scores as plot_scores, plot_strip as plot_strip, plot_thresholds as plot_thresholds,
    score_line as score_line, scored_rows as scored_rows, threshold_curves as threshold_curves,
    worst_images as worst_images, write_audit_page as write_audit_page, write_page as write_page,
)
from . import live as live
from .live import (
    Explorer as Explorer, LiveWidget as LiveWidget, bundle as bundle, css as css, show_saved as show_saved,
    state_json as state_json, still_html as still_html, write_widgets as write_widgets,
)
from . import widgets as widgets
from .widgets import (
    LAYOUTS as LAYOUTS, StripViewer as StripViewer, VIEWS as VIEWS, catalog_strip as catalog_strip,
    overlay_view as overlay_view, strip_data as strip_data, view_strip as view_strip,
)
from . import gallery as gallery
from .gallery import (
    Gallery as Gallery, MARKS as MARKS, Marks as Marks, Thumbnails as Thumbnails, contact_sheet as contact_sheet,
    read_marks as read_marks, thumbnail as thumbnail, write_marks as write_marks,
)
from . import charts as charts
from .charts import (
    BarChart as BarChart, CellChart as CellChart, Look as Look, RangeChart as RangeChart, bars as bars,
    cells as cells, class_looks as class_looks, plot_bars as plot_bars, plot_cells as plot_cells,
    plot_range as plot_range, ranged as ranged,
)
from . import explorers as explorers
from .explorers import (
    ImbalanceExplorer as ImbalanceExplorer, MetricExplorer as MetricExplorer, amounts as amounts,
    balance_bars as balance_bars, bearing_images as bearing_images, correct_and_failed as correct_and_failed,
    crop_bars as crop_bars, crop_shares as crop_shares, images_between as images_between, labelled as labelled,
    region_shapes as region_shapes, region_sizes as region_sizes, score_range as score_range, size_range as size_range,
)
from . import overlays as overlays
from .overlays import (
    CLASS_OUTCOMES as CLASS_OUTCOMES, ORDERS as ORDERS, OverlayExplorer as OverlayExplorer,
    catalog_table as catalog_table, filter_images as filter_images, labelled_area as labelled_area,
    strip_picture as strip_picture,
)
from . import thresholds as thresholds
from .thresholds import (
    ThresholdExplorer as ThresholdExplorer, plot_sweep as plot_sweep, sweep_data as sweep_data,
    telling_images as telling_images,
)
from . import steps as steps
from .steps import (
    PARAMETERS as PARAMETERS, StepExplorer as StepExplorer, StepPicture as StepPicture, augmented as augmented,
    changes as changes, contrast_table as contrast_table, plot_steps as plot_steps, preprocessed as preprocessed,
    region_contrast as region_contrast, step_pictures as step_pictures, step_rgb as step_rgb,
)
from . import cli as cli

package ccs

// The wire's spellings of the fields. They stand here once, so that decoder,
// encoder and error texts cannot come to disagree.
const (
	keyMessageType           = "message_type"
	keyMessageID             = "message_id"
	keyTo                    = "to"
	keyFrom                  = "from"
	keyCondition             = "condition"
	keyCollapseKey           = "collapse_key"
	keyPriority              = "priority"
	keyTTL                   = "time_to_live"
	keyContentAvailable      = "content_available"
	keyMutableContent        = "mutable_content"
	keyDelayWhileIdle        = "delay_while_idle"
	keyReceiptRequested      = "delivery_receipt_requested"
	keyDryRun                = "dry_run"
	keyDirectBootOK          = "direct_boot_ok"
	keyRestrictedPackageName = "restricted_package_name"
	keyFCMOptions            = "fcm_options"
	keyAnalyticsLabel        = "analytics_label" // inside fcm_options
	keyRegistrationIDs       = "registration_ids"
	keyData                  = "data"
	keyNotification          = "notification"
	keyRegistrationID        = "registration_id"
	keySuccess               = "success"
	keyFailure               = "failure"
	keyFailedRegistrationIDs = "failed_registration_ids"
	keyError                 = "error"
	keyErrorDescription      = "error_description"
	keyCategory              = "category"
	keyControlType           = "control_type"

	// These are inside a receipt's data.
	keyMessageStatus        = "message_status"
	keyOriginalMessageID    = "original_message_id"
	keyDeviceRegistrationID = "device_registration_id"
	keyMessageSentTimestamp = "message_sent_timestamp"
)

// The values of message_type. A downstream and an upstream message have none.
const (
	typeAck     = "ack"
	typeNack    = "nack"
	typeReceipt = "receipt"
	typeControl = "control"
)

// unknown fills what an answer must carry and nobody knows.
const unknown = "unknown"

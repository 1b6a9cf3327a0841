const MARK = "4c";
const DIGITS = 14;

/**
 * The serial number of an issuer's X.509 certificate, 16 hex digits: it says which of the operator's issuer keys it is of, so that
 * TLS can refuse one that the root has retired. Positive, and without a leading zero, which DER has no place for.
 * @param serial as in the root's grant for the key
 */
export function issuerNumber(serial: number): string {
	return MARK + serial.toString(16).padStart(DIGITS, "0");
}

/** The serial of the key that a certificate's serial number stands for; 0, which any other retires, when it stands for none. */
export function issuerSerial(number: string): number {
	const digits = number.toLowerCase();
	const isOurs = digits.length === MARK.length + DIGITS;
	return isOurs && digits.startsWith(MARK)
		? Number.parseInt(digits.slice(MARK.length), 16)
		: 0;
}

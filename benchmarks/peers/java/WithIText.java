import com.itextpdf.text.pdf.PdfReader;
import com.itextpdf.text.pdf.PdfSignatureAppearance;
import com.itextpdf.text.pdf.PdfStamper;
import com.itextpdf.text.pdf.security.BouncyCastleDigest;
import com.itextpdf.text.pdf.security.DigestAlgorithms;
import com.itextpdf.text.pdf.security.ExternalDigest;
import com.itextpdf.text.pdf.security.MakeSignature;
import com.itextpdf.text.pdf.security.PrivateKeySignature;
import com.itextpdf.text.pdf.security.TSAClient;

import java.io.ByteArrayOutputStream;
import java.security.MessageDigest;
import java.security.Provider;

/** iText 5 with Bouncy Castle. */
final class WithIText implements Peer.Signer {
    private static final int CMS_BYTES = 16 * 1024;

    private final Peer.Key seal;
    private final ExternalDigest digest = new BouncyCastleDigest();
    private final PrivateKeySignature signature;
    private final TSAClient stamps;

    WithIText(Peer.Key seal, TimestampUnit unit, Provider token) {
        this.seal = seal;
        signature = new PrivateKeySignature(seal.key(), DigestAlgorithms.SHA256, token.getName());
        stamps = new TSAClient() {
            @Override
            public int getTokenSizeEstimate() {
                return 4096;
            }

            @Override
            public MessageDigest getMessageDigest() throws java.security.GeneralSecurityException {
                return MessageDigest.getInstance("SHA-256");
            }

            @Override
            public byte[] getTimeStampToken(byte[] imprint) throws Exception {
                return unit.stamp(imprint).getEncoded();
            }
        };
    }

    @Override
    public byte[] sign(byte[] document) throws Exception {
        ByteArrayOutputStream out = Peer.buffer(document);
        PdfReader reader = new PdfReader(document);
        PdfStamper stamper = PdfStamper.createSignature(reader, out, '\0', null, true);
        PdfSignatureAppearance appearance = stamper.getSignatureAppearance();
        MakeSignature.signDetached(
                appearance, digest, signature, seal.chain(), null, null, stamps, CMS_BYTES, MakeSignature.CryptoStandard.CADES);
        reader.close();
        return out.toByteArray();
    }
}

import eu.europa.esig.dss.diagnostic.DiagnosticData;
import eu.europa.esig.dss.diagnostic.SignatureWrapper;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * EU DSS judges signatures in PDF files, offline. A question is a line: the file, a file with one trusted root (PEM), files with CRLs (DER), each
 * after a tab. The answer is a line: for each signature its indication, sub-indication, level, field and what DSS holds against it, between
 * tabs; signatures between " | ".
 */
public final class Dss {
  public static void main(String[] arguments) throws Exception {
    BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = questions.readLine(); line != null; line = questions.readLine()) {
      System.out.println(answer(line.split("\t")).replace("\n", " "));
      System.out.flush();
    }
  }

  private static String answer(String[] asked) {
    try {
      SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(asked[0]));
      validator.setCertificateVerifier(verifier(asked));
      return described(validator.validateDocument());
    } catch (Exception | LinkageError fault) {
      return "FAULT\t" + fault;
    }
  }

  /** No sources on line: what is neither given nor in the file is unknown. */
  private static CommonCertificateVerifier verifier(String[] asked) throws Exception {
    CommonTrustedCertificateSource roots = new CommonTrustedCertificateSource();
    roots.addCertificate(DSSUtils.loadCertificate(new File(asked[1])));
    CommonCertificateVerifier verifier = new CommonCertificateVerifier(true);
    verifier.setTrustedCertSources(roots);
    if (asked.length > 2) {
      String[] paths = new String[asked.length - 2];
      System.arraycopy(asked, 2, paths, 0, paths.length);
      List<java.io.InputStream> streams = new ArrayList<>();
      for (String path : paths) {
        streams.add(new java.io.FileInputStream(path));
      }
      verifier.setCrlSource(new ExternalResourcesCRLSource(streams.toArray(new java.io.InputStream[0])));
    }
    return verifier;
  }

  private static String described(Reports reports) {
    SimpleReport simple = reports.getSimpleReport();
    DiagnosticData facts = reports.getDiagnosticData();
    List<String> found = new ArrayList<>();
    for (SignatureWrapper signature : facts.getSignatures()) {
      String id = signature.getId();
      List<String> against = new ArrayList<>();
      simple.getAdESValidationErrors(id).forEach(one -> against.add(one.getValue()));
      String field = signature.getSignatureFieldNames().isEmpty() ? "" : signature.getSignatureFieldNames().get(0);
      found.add(String.join("\t", simple.getIndication(id).name(), String.valueOf(simple.getSubIndication(id)),
          String.valueOf(signature.getSignatureFormat()), field, String.join("; ", against)));
    }
    return String.join(" | ", found);
  }
}

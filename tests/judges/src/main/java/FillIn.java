import java.io.BufferedReader;
import java.io.File;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import org.apache.pdfbox.Loader;
import org.apache.pdfbox.cos.COSUpdateInfo;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.interactive.annotation.PDAnnotationWidget;
import org.apache.pdfbox.pdmodel.interactive.annotation.PDAppearanceDictionary;
import org.apache.pdfbox.pdmodel.interactive.annotation.PDAppearanceEntry;
import org.apache.pdfbox.pdmodel.interactive.form.PDField;

/**
 * Apache PDFBox fills in a form and appends what changed. A question is a line: the file, the file to write, and fields as NAME=VALUE, each after
 * a tab. The answer is a line: "filled", or FAULT with the reason.
 */
public final class FillIn {
  public static void main(String[] arguments) throws Exception {
    BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = questions.readLine(); line != null; line = questions.readLine()) {
      System.out.println(answer(line.split("\t")).replace("\n", " "));
      System.out.flush();
    }
  }

  private static String answer(String[] asked) {
    try (PDDocument document = Loader.loadPDF(new File(asked[0]));
        OutputStream out = new FileOutputStream(asked[1])) {
      for (int at = 2; at < asked.length; at++) {
        String[] pair = asked[at].split("=", 2);
        fill(document.getDocumentCatalog().getAcroForm().getField(pair[0]), pair[1]);
      }
      document.saveIncremental(out);
      return "filled";
    } catch (Exception | LinkageError fault) {
      return "FAULT\t" + fault;
    }
  }

  private static void fill(PDField field, String value) throws Exception {
    field.setValue(value);
    changed(field.getCOSObject());
    for (PDAnnotationWidget widget : field.getWidgets()) {
      changed(widget.getCOSObject());
      PDAppearanceDictionary looks = widget.getAppearance();
      PDAppearanceEntry normal = looks == null ? null : looks.getNormalAppearance();
      if (normal != null && normal.isStream()) {
        changed(normal.getAppearanceStream().getCOSObject());
      }
    }
  }

  private static void changed(COSUpdateInfo written) {
    written.setNeedToBeUpdated(true);
  }
}
